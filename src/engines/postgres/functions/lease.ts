/**
 * `lease`: join, beat, declare dead, give back, take, leave, in the order of the port. Whoever does more than beat comes
 * through one gate, so that two of them never look at the same free slot. Locks: the gate, sessions' rows, slots' rows
 * ascending. A record locks its session's row first: so the death of a session waits for a record under way, and a record
 * that comes later finds it gone.
 *
 * What changes hands is locked FOR UPDATE: it waits for transactions that settle in those slots (see `settle`), and those
 * that come later find the token changed. A row that such a transaction has settled is closed, by whomever takes it.
 *
 * A session is gone where the lock that its process holds on it is free, in the life of the server in which it took it: a
 * restart of the server frees the locks of the living too.
 */
export const leaseFunctions = `
CREATE OR REPLACE FUNCTION S.lock_class() RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT ('S.meta'::regclass::oid::bigint - 2147483648)::integer
$$;

CREATE OR REPLACE FUNCTION S.gate() RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(S.lock_class(), 0)
$$;

CREATE OR REPLACE FUNCTION S.server_life() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT extract(epoch FROM pg_postmaster_start_time())::text
$$;

CREATE OR REPLACE FUNCTION S.charge_crash(d S.delivery, p_due float8, p_now float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_definition jsonb;
  v_crashes integer := d.crashes + 1;
BEGIN
  SELECT r.definition::jsonb INTO v_definition FROM S.subscription s
    JOIN S.revision r ON r.sub = s.id AND r.revision = s.newest WHERE s.id = d.sub;
  UPDATE S.delivery SET crashes = v_crashes WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  PERFORM S.release_row(d, 1, p_due);
  IF v_crashes >= coalesce((v_definition->>'crashesMax')::integer, v_crashes + 1) THEN
    PERFORM S.remember(d.sub, d.gen, d.slot, d.position, jsonb_build_object('atMs', p_now, 'class', 'crash',
      'fingerprint', 'crash', 'error', format('the process died %s times while this delivery was running', v_crashes)));
    d.state := 1;
    PERFORM S.bury_row(d, d.holds AND v_definition->>'onExhausted' <> 'skip-event', v_definition->>'onExhausted' = 'stop');
  END IF;
END $$;

CREATE OR REPLACE FUNCTION S.lease(p_session bigint, r jsonb, p_server text, p_now float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_dead bigint[];
  v_leaves boolean := (r->>'leave')::boolean;
  v_quiet boolean := r->>'quiet' = 'true';
  d S.delivery;
  w jsonb;
  v_missing bigint;
BEGIN
  IF NOT v_quiet THEN PERFORM S.gate(); END IF;
  IF (r->>'joins')::boolean THEN
    INSERT INTO S.session(id, beat, lease_ms, serves, server)
      VALUES (p_session, 1, (r->>'leaseMs')::float8, r->>'serves', p_server) ON CONFLICT (id) DO NOTHING;
  ELSE
    UPDATE S.session SET beat = beat + 1, lease_ms = (r->>'leaseMs')::float8, serves = r->>'serves', server = p_server
      WHERE id = p_session;
    IF NOT FOUND THEN RAISE EXCEPTION 'this session was declared dead by others' USING ERRCODE = 'FL002'; END IF;
  END IF;
  IF v_quiet THEN RETURN S.lease_state(p_session); END IF;

  WITH gone AS (
    DELETE FROM S.session s USING jsonb_array_elements(r->'dead') x
    WHERE s.id = (x->>'session')::bigint AND s.beat = (x->>'beat')::bigint RETURNING s.id)
  SELECT coalesce(array_agg(id), '{}') INTO v_dead FROM gone;
  PERFORM 1 FROM S.slot l WHERE l.session = ANY(v_dead) OR (l.sub, l.gen, l.slot) IN (
      SELECT o.sub, o.gen, o.slot FROM S.delivery o WHERE o.session = ANY(v_dead) OR (v_leaves AND o.session = p_session)
      UNION ALL
      SELECT (x->>'sub')::integer, (x->>'gen')::integer, (x->>'slot')::integer
        FROM jsonb_array_elements((r->'giveBack') || (r->'release')) x)
      OR (v_leaves AND l.session = p_session)
    ORDER BY l.sub, l.gen, l.slot FOR UPDATE;
  FOR d IN SELECT * FROM S.delivery WHERE session = ANY(v_dead) AND state = 2 ORDER BY sub, gen, slot, position LOOP
    IF S.is_settled(d) THEN PERFORM S.close_row(d, 'done');
    ELSE PERFORM S.charge_crash(d, (r->>'crashDueMs')::float8, p_now); END IF;
  END LOOP;
  UPDATE S.slot SET session = NULL, token = token + 1, suspect = greatest(suspect, claim) WHERE session = ANY(v_dead);

  UPDATE S.slot l SET session = NULL, token = l.token + 1, claim = l.low FROM jsonb_array_elements(r->'giveBack') x
    WHERE l.sub = (x->>'sub')::integer AND l.gen = (x->>'gen')::integer AND l.slot = (x->>'slot')::integer
      AND l.token = (x->>'token')::bigint AND l.session = p_session;
  FOR w IN SELECT jsonb_array_elements(r->'release') LOOP
    d := S.running(p_session, w);
    IF d.sub IS NOT NULL THEN PERFORM S.hand_over_row(d); END IF;
  END LOOP;

  FOR w IN SELECT jsonb_array_elements(r->'want') LOOP
    PERFORM 1 FROM S.subscription WHERE id = (w->>'sub')::integer AND gen = (w->>'gen')::integer
      AND newest = (w->>'revision')::integer;
    CONTINUE WHEN NOT FOUND;
    SELECT (w->>'slots')::bigint - count(*) INTO v_missing FROM S.slot
      WHERE session = p_session AND sub = (w->>'sub')::integer AND gen = (w->>'gen')::integer;
    CONTINUE WHEN v_missing <= 0;
    UPDATE S.slot l SET session = p_session, token = l.token + 1
      FROM (SELECT sub, gen, slot FROM S.slot WHERE sub = (w->>'sub')::integer AND gen = (w->>'gen')::integer
            AND session IS NULL ORDER BY slot LIMIT v_missing FOR NO KEY UPDATE) f
      WHERE l.sub = f.sub AND l.gen = f.gen AND l.slot = f.slot;
  END LOOP;

  IF v_leaves THEN
    UPDATE S.slot SET session = NULL, token = token + 1, claim = low WHERE session = p_session;
    FOR d IN SELECT * FROM S.delivery WHERE session = p_session AND state = 2 ORDER BY sub, gen, slot, position LOOP
      PERFORM S.hand_over_row(d);
    END LOOP;
    DELETE FROM S.session WHERE id = p_session;
  END IF;
  RETURN S.lease_state(p_session);
END $$;

CREATE OR REPLACE FUNCTION S.lease_state(p_session bigint) RETURNS text LANGUAGE sql AS $$
  WITH locks AS (
    SELECT objid::bigint AS session FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
      AND classid::bigint = (S.lock_class()::bigint & 4294967295)
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
  SELECT json_build_object(
    'sessions', coalesce((SELECT json_agg(json_build_array(s.id, s.beat, s.lease_ms, s.serves,
        s.server = S.server_life() AND NOT EXISTS(SELECT 1 FROM locks k WHERE k.session = s.id % 2147483648)) ORDER BY s.id)
      FROM S.session s), '[]'),
    'held', coalesce((SELECT json_agg(json_build_array(l.sub, l.gen, l.slot, l.token) ORDER BY l.sub, l.gen, l.slot)
      FROM S.slot l WHERE l.session = p_session), '[]'),
    'subscriptions', coalesce((SELECT json_agg(json_build_array(u.id, u.gen, u.newest, EXISTS(
        SELECT 1 FROM S.slot l WHERE l.sub = u.id AND l.gen = u.gen AND l.stopping > 0)) ORDER BY u.id)
      FROM S.subscription u), '[]'))::text
$$;
`;
