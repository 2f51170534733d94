import { limits } from "../../../limits.ts";

/**
 * The steps of deliveries. Whoever moves a step or wakes a delivery has locked the slot of the delivery: so no signal
 * falls between the last look of a handler and its row's beginning to wait. States as in `journal.ts` beside `queries.ts`.
 */
export const journalFunctions = `
CREATE OR REPLACE FUNCTION S.wait_row(d S.delivery, p_due float8) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF d.woken THEN
    PERFORM S.release_row(d, 1, 0);
    RETURN true;
  END IF;
  PERFORM S.release_row(d, 3, p_due);
  UPDATE S.delivery SET waits = true
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  RETURN false;
END $$;

CREATE OR REPLACE FUNCTION S.wake_row(d S.delivery) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF d.waits THEN
    PERFORM S.release_row(d, 1, 0);
  ELSIF d.state = 2 THEN
    UPDATE S.delivery SET woken = true
      WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  END IF;
END $$;

CREATE OR REPLACE FUNCTION S.hold_row(d S.delivery, p_holds boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.delivery SET holds = p_holds
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  RETURN S.promote(d.sub, d.gen, d.slot, d.key);
END $$;

CREATE OR REPLACE FUNCTION S.await_no_more(
  p_sub integer, p_slot integer, p_position bigint, p_scope integer, p_name text) RETURNS void LANGUAGE sql AS $$
  DELETE FROM S.awaited a USING S.step s, jsonb_array_elements_text(s.wait->'types') t(type)
    WHERE s.sub = p_sub AND s.slot = p_slot AND s.position = p_position AND s.scope = p_scope AND s.name = p_name
      AND a.type = t.type AND a.key = coalesce(s.wait->>'key', '') AND a.sub = s.sub AND a.slot = s.slot
      AND a.position = s.position AND a.scope = s.scope AND a.name = s.name
$$;

CREATE OR REPLACE FUNCTION S.step(p_session bigint, c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  d S.delivery := S.running(p_session, c);
  v_to text := c->>'to';
  v_state integer;
  v_value text;
BEGIN
  IF d.sub IS NULL THEN RETURN NULL; END IF;
  SELECT state, value INTO v_state, v_value FROM S.step WHERE sub = d.sub AND slot = d.slot AND position = d.position
    AND scope = d.scope AND name = c->>'name';
  IF v_state = 1 THEN
    RETURN jsonb_build_object('status', 'ok', 'stood', v_value);
  END IF;
  IF FOUND THEN PERFORM S.await_no_more(d.sub, d.slot, d.position, d.scope, c->>'name'); END IF;
  IF v_to = 'dropped' THEN
    DELETE FROM S.step WHERE sub = d.sub AND slot = d.slot AND position = d.position AND scope = d.scope
      AND name = c->>'name';
    RETURN '{"status": "ok"}';
  END IF;
  INSERT INTO S.step AS s (sub, slot, position, scope, name, state, version, attempts, at_ms, kind, wait, bytes, usage, value)
    VALUES (d.sub, d.slot, d.position, d.scope, c->>'name',
      CASE v_to WHEN 'started' THEN 0 WHEN 'done' THEN 1 WHEN 'failed' THEN 2 ELSE 3 END, coalesce(c->>'version', ''),
      coalesce((c->>'attempts')::integer, 0), (c->>'atMs')::float8, c->'wait'->>'kind', c->'wait',
      coalesce((c->>'bytes')::integer, 0), c->>'usage', c->>'value')
    ON CONFLICT (sub, slot, position, scope, name) DO UPDATE SET state = excluded.state,
      version = CASE WHEN c ? 'version' THEN excluded.version ELSE s.version END,
      attempts = CASE WHEN c ? 'attempts' THEN excluded.attempts ELSE s.attempts END, at_ms = excluded.at_ms,
      kind = excluded.kind, wait = excluded.wait, bytes = excluded.bytes, usage = coalesce(excluded.usage, s.usage),
      value = excluded.value;
  INSERT INTO S.awaited(type, key, sub, slot, position, scope, name, after)
    SELECT t.type, coalesce(c->'wait'->>'key', ''), d.sub, d.slot, d.position, d.scope, c->>'name',
      (c->'wait'->>'after')::bigint
    FROM jsonb_array_elements_text(c->'wait'->'types') t(type)
    ON CONFLICT (type, key, sub, slot, position, scope, name) DO UPDATE SET after = excluded.after;
  RETURN '{"status": "ok"}';
END $$;

CREATE OR REPLACE FUNCTION S.signal(p_type text, p_key text, p_position bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  a S.awaited;
  d S.delivery;
  v_woken integer := 0;
BEGIN
  PERFORM 1 FROM S.slot l WHERE (l.sub, l.gen, l.slot) IN (
      SELECT w.sub, b.gen, w.slot FROM S.awaited w JOIN S.subscription b ON b.id = w.sub
      WHERE w.type = p_type AND w.key = p_key AND w.after < p_position)
    ORDER BY l.sub, l.gen, l.slot FOR NO KEY UPDATE OF l;
  FOR a IN SELECT * FROM S.awaited w WHERE w.type = p_type AND w.key = p_key AND w.after < p_position LOOP
    SELECT r.* INTO d FROM S.delivery r JOIN S.subscription b ON b.id = r.sub AND b.gen = r.gen
      WHERE r.sub = a.sub AND r.slot = a.slot AND r.position = a.position AND r.scope = a.scope;
    IF NOT FOUND THEN
      DELETE FROM S.awaited w WHERE w = a;
      CONTINUE;
    END IF;
    UPDATE S.step s SET found = (
        SELECT jsonb_agg(f.n ORDER BY f.n) FROM (
          SELECT DISTINCT x.n FROM (SELECT jsonb_array_elements_text(s.found)::bigint UNION SELECT p_position) x(n)
          ORDER BY x.n LIMIT ${limits.foundMax}) f(n))
      WHERE s.sub = a.sub AND s.slot = a.slot AND s.position = a.position AND s.scope = a.scope AND s.name = a.name;
    PERFORM S.wake_row(d);
    v_woken := v_woken + 1;
  END LOOP;
  RETURN v_woken;
END $$;

CREATE OR REPLACE FUNCTION S.answer(
  p_sub integer, p_gen integer, p_slot integer, p_position bigint, p_scope integer, p_name text, p_value text,
  p_bytes integer, p_now float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s S.step;
  d S.delivery;
BEGIN
  PERFORM 1 FROM S.slot l WHERE l.sub = p_sub AND l.gen = p_gen AND l.slot = p_slot FOR NO KEY UPDATE;
  SELECT * INTO s FROM S.step x WHERE x.sub = p_sub AND x.slot = p_slot AND x.position = p_position
    AND x.scope = p_scope AND x.name = p_name;
  IF NOT FOUND THEN RETURN 'not there'; END IF;
  SELECT * INTO d FROM S.delivery r WHERE r.sub = p_sub AND r.gen = p_gen AND r.slot = p_slot
    AND r.position = p_position AND r.scope = p_scope;
  IF NOT FOUND OR s.state <> 3 OR s.kind IS DISTINCT FROM 'approval' THEN RETURN 'over'; END IF;
  UPDATE S.step x SET state = 1, value = p_value, bytes = p_bytes, at_ms = p_now, kind = NULL, wait = NULL
    WHERE x.sub = p_sub AND x.slot = p_slot AND x.position = p_position AND x.scope = p_scope AND x.name = p_name;
  PERFORM S.wake_row(d);
  RETURN 'done';
END $$;
`;
