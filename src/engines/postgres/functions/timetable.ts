/**
 * What becomes a fact at its time. Rows of `delayed` are locked before the head, as those of slots are; whoever fires
 * takes what is due with its locks, so that a second one goes past it, and a withdrawal waits for it.
 */
export const timetableFunctions = `
CREATE OR REPLACE FUNCTION S.delay(
  p_event jsonb, p_correlation text, p_due float8, p_shares boolean, OUT fresh boolean, OUT same boolean)
LANGUAGE plpgsql AS $$
DECLARE
  k record;
BEGIN
  IF p_shares THEN
    SELECT * INTO k FROM S.known(p_event);
    IF k.place IS NOT NULL THEN
      fresh := false;
      same := k.same;
      RETURN;
    END IF;
  END IF;
  INSERT INTO S.delayed(source, id, correlation_id, due_ms, event)
    VALUES (p_event->>'source', p_event->>'id', p_correlation, p_due,
      (p_event - 'sourceId' - 'schemaId' - 'slot' - 'idHex')::text)
    ON CONFLICT (source, id) DO NOTHING;
  fresh := FOUND;
  SELECT fresh OR S.same_content(d.e, p_event) INTO same
    FROM (SELECT event::jsonb AS e FROM S.delayed WHERE source = p_event->>'source' AND id = p_event->>'id') d;
  -- It was fired a moment ago: then it stands in the log.
  IF same IS NULL THEN RAISE EXCEPTION 'fired meanwhile' USING ERRCODE = '40001'; END IF;
END $$;

CREATE OR REPLACE FUNCTION S.same_content(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT a->>'data' = b->>'data' AND a->>'type' = b->>'type' AND a->>'version' = b->>'version'
    AND a->>'key' IS NOT DISTINCT FROM b->>'key'
    AND S.subject_of(a->>'attributes') IS NOT DISTINCT FROM S.subject_of(b->>'attributes')
$$;

CREATE OR REPLACE FUNCTION S.state_facts(p_events jsonb, p_now float8, p_shares boolean, p_channel text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v jsonb;
  v_base bigint;
  v_head bigint;
  v_fresh boolean;
  v_same boolean;
  v_all jsonb := '[]';
BEGIN
  IF p_shares THEN SELECT h.position INTO v_base FROM S.head h FOR NO KEY UPDATE; END IF;
  v_head := v_base;
  FOR v IN SELECT x.value FROM jsonb_array_elements(p_events) WITH ORDINALITY AS x(value, i) ORDER BY x.i LOOP
    IF p_shares THEN
      SELECT t.fresh, t.same INTO v_fresh, v_same FROM S.put(v, v_head + 1, p_now) t;
      IF v_fresh THEN v_head := v_head + 1; END IF;
    ELSE
      SELECT t.same INTO v_same FROM S.enqueue(v) t;
    END IF;
    v_all := v_all || to_jsonb(v_same);
  END LOOP;
  IF v_head > v_base THEN PERFORM S.raise_head(v_base, v_head, p_channel); END IF;
  RETURN v_all;
END $$;
`;
