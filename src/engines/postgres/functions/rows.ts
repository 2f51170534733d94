import { limits } from "../../../limits.ts";

/** Rows of one key that do not wait: its head, and those that ran already when an earlier one came back. */
const firstsMax = 8;

/**
 * What runs once for each row is PL/pgSQL even where one expression would do: its plan is kept, while a function in SQL
 * is planned again in every statement that calls it.
 *
 * The acts on delivery rows. Their caller holds the lock on the row's slot: so "is a lower row of the key there" and the
 * write that follows from the answer are one, whoever else ends or inserts rows of that key.
 */
export const rowFunctions = `
CREATE OR REPLACE FUNCTION S.count_row(
  p_sub integer, p_gen integer, p_slot integer, p_state integer, p_holds boolean, p_stop boolean, p_by integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.slot SET
    held = held + CASE WHEN p_state = 0 THEN p_by ELSE 0 END,
    ready = ready + CASE WHEN p_state = 1 THEN p_by ELSE 0 END,
    running = running + CASE WHEN p_state = 2 THEN p_by ELSE 0 END,
    retrying = retrying + CASE WHEN p_state = 3 THEN p_by ELSE 0 END,
    dead = dead + CASE WHEN p_state = 4 THEN p_by ELSE 0 END,
    deferred = deferred + CASE WHEN p_state = 5 THEN p_by ELSE 0 END,
    blocking = blocking + CASE WHEN p_state = 4 AND p_holds THEN p_by ELSE 0 END,
    stopping = stopping + CASE WHEN p_state = 4 AND p_stop THEN p_by ELSE 0 END
  WHERE sub = p_sub AND gen = p_gen AND slot = p_slot;
END $$;

CREATE OR REPLACE FUNCTION S.recount(d S.delivery, p_state integer, p_holds boolean, p_stop boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.slot SET
    held = held - (d.state = 0)::integer + (p_state = 0)::integer,
    ready = ready - (d.state = 1)::integer + (p_state = 1)::integer,
    running = running - (d.state = 2)::integer + (p_state = 2)::integer,
    retrying = retrying - (d.state = 3)::integer + (p_state = 3)::integer,
    dead = dead - (d.state = 4)::integer + (p_state = 4)::integer,
    deferred = deferred - (d.state = 5)::integer + (p_state = 5)::integer,
    blocking = blocking - (d.state = 4 AND d.holds)::integer + (p_state = 4 AND p_holds)::integer,
    stopping = stopping - (d.state = 4 AND d.stop)::integer + (p_state = 4 AND p_stop)::integer
  WHERE sub = d.sub AND gen = d.gen AND slot = d.slot;
END $$;

CREATE OR REPLACE FUNCTION S.is_behind(p_sub integer, p_gen integer, p_slot integer, p_key text, p_position bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  RETURN EXISTS(SELECT 1 FROM S.delivery WHERE sub = p_sub AND gen = p_gen AND slot = p_slot AND key = p_key AND holds
    AND position < p_position);
END $$;

CREATE OR REPLACE FUNCTION S.runs_other(p_sub integer, p_gen integer, p_slot integer, p_key text, p_position bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  RETURN EXISTS(SELECT 1 FROM
    (SELECT position, state FROM S.delivery WHERE sub = p_sub AND gen = p_gen AND slot = p_slot AND key = p_key AND holds
     ORDER BY position LIMIT ${firstsMax}) firsts
    WHERE state = 2 AND position <> p_position);
END $$;

CREATE OR REPLACE FUNCTION S.freed(p_sub integer, p_gen integer, p_slot integer, p_keys text[]) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_agg(DISTINCT k.key), '[]') FROM unnest(p_keys) AS k(key)
    WHERE NOT EXISTS(SELECT 1 FROM S.delivery d WHERE d.sub = p_sub AND d.gen = p_gen AND d.slot = p_slot
      AND d.key = k.key AND d.holds));
END $$;

CREATE OR REPLACE FUNCTION S.make_ready(p_sub integer, p_gen integer, p_slot integer, p_key text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_position bigint;
  v_state integer;
BEGIN
  SELECT position, state INTO v_position, v_state FROM S.delivery
    WHERE sub = p_sub AND gen = p_gen AND slot = p_slot AND key = p_key AND holds ORDER BY position LIMIT 1;
  IF v_state IS DISTINCT FROM 0 THEN RETURN false; END IF;
  UPDATE S.delivery SET state = 1, due_ms = 0, session = NULL, token = token + 1
    WHERE sub = p_sub AND gen = p_gen AND slot = p_slot AND position = v_position;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION S.promote(p_sub integer, p_gen integer, p_slot integer, p_key text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT S.make_ready(p_sub, p_gen, p_slot, p_key) THEN RETURN false; END IF;
  UPDATE S.slot SET held = held - 1, ready = ready + 1 WHERE sub = p_sub AND gen = p_gen AND slot = p_slot;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION S.remember(p_sub integer, p_gen integer, p_slot integer, p_position bigint, p_failure jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_n integer;
BEGIN
  SELECT coalesce(max(n), 0) + 1 INTO v_n FROM S.failure
    WHERE sub = p_sub AND gen = p_gen AND slot = p_slot AND position = p_position;
  INSERT INTO S.failure(sub, gen, slot, position, n, at_ms, class, fingerprint, error)
    VALUES (p_sub, p_gen, p_slot, p_position, v_n, (p_failure->>'atMs')::float8, p_failure->>'class',
      p_failure->>'fingerprint', p_failure->>'error');
  IF v_n > ${limits.failuresKeptMax} THEN
    DELETE FROM S.failure WHERE sub = p_sub AND gen = p_gen AND slot = p_slot AND position = p_position
      AND n = v_n - ${limits.failuresKeptMax - 1};
  END IF;
END $$;

CREATE OR REPLACE FUNCTION S.close_row(d S.delivery, p_as text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_low bigint;
  v_next boolean;
BEGIN
  DELETE FROM S.delivery WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  DELETE FROM S.failure WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  v_next := S.make_ready(d.sub, d.gen, d.slot, d.key);
  UPDATE S.slot SET
    done = done + (p_as = 'done')::integer, skipped = skipped + (p_as = 'skipped')::integer,
    discarded = discarded + (p_as = 'discarded')::integer, expired = expired + (p_as = 'expired')::integer,
    duplicate = duplicate + (p_as = 'duplicate')::integer,
    held = held - (d.state = 0)::integer - v_next::integer,
    ready = ready - (d.state = 1)::integer + v_next::integer,
    running = running - (d.state = 2)::integer,
    retrying = retrying - (d.state = 3)::integer,
    dead = dead - (d.state = 4)::integer,
    deferred = deferred - (d.state = 5)::integer,
    blocking = blocking - (d.state = 4 AND d.holds)::integer,
    stopping = stopping - (d.state = 4 AND d.stop)::integer
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot RETURNING low INTO v_low;
  DELETE FROM S.settled WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position
    AND position <= v_low;
  RETURN v_next;
END $$;

CREATE OR REPLACE FUNCTION S.release_row(d S.delivery, p_state integer, p_due float8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.delivery SET state = p_state, due_ms = p_due, session = NULL, waits = false, token = token + 1
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  PERFORM S.recount(d, p_state, d.holds, d.stop);
END $$;

CREATE OR REPLACE FUNCTION S.defer_row(d S.delivery, p_group text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.delivery SET state = 5, due_ms = NULL, grp = p_group, session = NULL, waits = false, token = token + 1
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  PERFORM S.recount(d, 5, d.holds, d.stop);
END $$;

CREATE OR REPLACE FUNCTION S.bury_row(d S.delivery, p_holds boolean, p_stop boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.delivery SET state = 4, due_ms = NULL, session = NULL, holds = p_holds, stop = p_stop
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  PERFORM S.recount(d, 4, p_holds, p_stop);
  RETURN S.promote(d.sub, d.gen, d.slot, d.key);
END $$;

CREATE OR REPLACE FUNCTION S.redrive_row(d S.delivery, p_now float8, p_fresh boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.delivery SET state = 1, due_ms = p_now, token = token + 1, failures = 0, crashes = 0, redriven = true,
      stop = false, scope = scope + p_fresh::integer
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  PERFORM S.recount(d, 1, d.holds, false);
END $$;
`;
