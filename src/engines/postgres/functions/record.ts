/**
 * `record`: the settle, in one round trip and one transaction. Locks are taken in one order everywhere: the session's
 * row, the slots' rows ascending, then the head. A session's row carries the name of its last flush and the answer to
 * it: a flush whose answer was lost with the connection is sent again, and answered again instead of done again.
 *
 * A change comes as JSON (see `changes.ts`). `barred`: the database has refused one of its statements already; what is
 * left to say is whether it would have been lost.
 */
export const recordFunctions = `
CREATE OR REPLACE FUNCTION S.record(
  p_session bigint, p_flush text, p_changes jsonb, p_now float8, p_shares boolean, p_channel text,
  OUT answers text, OUT again boolean)
LANGUAGE plpgsql AS $$
DECLARE
  v_alive boolean;
  v_flush text;
  v_base bigint;
  v_head bigint;
  v_raised bigint;
  c jsonb;
  v_one jsonb;
  v_detail text;
  v_all jsonb[] := '{}';
BEGIN
  SELECT s.flush, s.answer INTO v_flush, answers FROM S.session s WHERE s.id = p_session FOR NO KEY UPDATE;
  v_alive := FOUND;
  again := coalesce(v_flush = p_flush, false);
  IF again THEN RETURN; END IF;
  PERFORM 1 FROM S.slot l
    JOIN (SELECT DISTINCT (x->>'sub')::integer AS sub, (x->>'gen')::integer AS gen, (x->>'slot')::integer AS slot
          FROM jsonb_array_elements(p_changes) x) n ON n.sub = l.sub AND n.gen = l.gen AND n.slot = l.slot
    ORDER BY l.sub, l.gen, l.slot FOR NO KEY UPDATE OF l;
  FOR c IN SELECT x.value FROM jsonb_array_elements(p_changes) WITH ORDINALITY AS x(value, i) ORDER BY x.i LOOP
    IF NOT v_alive THEN
      v_one := '{"status": "lost"}';
    ELSIF c ? 'effects' OR c ? 'event' THEN
      IF p_shares AND v_base IS NULL AND (c ? 'event' OR (c->>'emits')::boolean) THEN
        SELECT h.position INTO v_base FROM S.head h FOR NO KEY UPDATE;
        v_head := v_base;
      END IF;
      BEGIN
        SELECT a.answer, a.head INTO v_one, v_raised FROM S.apply(p_session, c, v_head, p_now, p_shares) a;
        v_head := v_raised;
      EXCEPTION WHEN SQLSTATE 'FL001' THEN
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
        v_one := jsonb_build_object('status', 'refused', 'refused', v_detail::jsonb);
      END;
    ELSE
      SELECT a.answer INTO v_one FROM S.apply(p_session, c, v_head, p_now, p_shares) a;
    END IF;
    v_all := v_all || v_one;
  END LOOP;
  IF v_head > v_base THEN PERFORM S.raise_head(v_base, v_head, p_channel); END IF;
  answers := array_to_json(v_all)::text;
  IF v_alive THEN UPDATE S.session s SET flush = p_flush, answer = answers WHERE s.id = p_session; END IF;
END $$;

CREATE OR REPLACE FUNCTION S.apply(
  p_session bigint, c jsonb, p_head bigint, p_now float8, p_shares boolean, OUT answer jsonb, OUT head bigint)
LANGUAGE plpgsql AS $$
BEGIN
  head := p_head;
  CASE c->>'kind'
    WHEN 'progress' THEN SELECT a.answer, a.head INTO answer, head FROM S.progress(p_session, c, p_head, p_now, p_shares) a;
    WHEN 'row' THEN SELECT a.answer, a.head INTO answer, head FROM S.end_row(p_session, c, p_head, p_now, p_shares) a;
    WHEN 'start' THEN answer := S.start(p_session, c);
    WHEN 'step' THEN answer := S.step(p_session, c);
    WHEN 'announce' THEN SELECT a.answer, a.head INTO answer, head FROM S.announce(p_session, c, p_head, p_now, p_shares) a;
    WHEN 'relay' THEN answer := S.relay(p_session, c);
  END CASE;
  IF answer IS NULL THEN answer := '{"status": "lost"}'; END IF;
END $$;

CREATE OR REPLACE FUNCTION S.leased(p_session bigint, c jsonb) RETURNS S.slot LANGUAGE plpgsql AS $$
DECLARE
  l S.slot;
BEGIN
  SELECT o.* INTO l FROM S.slot o WHERE o.sub = (c->>'sub')::integer AND o.gen = (c->>'gen')::integer
    AND o.slot = (c->>'slot')::integer AND o.token = (c->>'token')::bigint AND o.session = p_session;
  RETURN l;
END $$;

CREATE OR REPLACE FUNCTION S.running(p_session bigint, c jsonb) RETURNS S.delivery LANGUAGE plpgsql AS $$
DECLARE
  d S.delivery;
BEGIN
  SELECT o.* INTO d FROM S.delivery o WHERE o.sub = (c->>'sub')::integer AND o.gen = (c->>'gen')::integer
    AND o.slot = (c->>'slot')::integer AND o.position = (c->>'position')::bigint
    AND o.token = (c->>'rowToken')::bigint AND o.session = p_session AND o.state = 2;
  RETURN d;
END $$;

CREATE OR REPLACE FUNCTION S.recorded(p_sub integer, p_gen integer, p_slot integer, p_keys text[], p_promoted boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('status', 'ok', 'freed', S.freed(p_sub, p_gen, p_slot, p_keys), 'promoted', p_promoted);
END $$;

CREATE OR REPLACE FUNCTION S.progress(
  p_session bigint, c jsonb, p_head bigint, p_now float8, p_shares boolean, OUT answer jsonb, OUT head bigint)
LANGUAGE plpgsql AS $$
DECLARE
  l S.slot := S.leased(p_session, c);
  v_low bigint := (c->>'low')::bigint;
  v_keys text[] := '{}';
  n jsonb;
BEGIN
  head := p_head;
  IF l.sub IS NULL OR v_low < l.low THEN RETURN; END IF;
  IF c ? 'barred' THEN answer := '{"status": "refused"}'; RETURN; END IF;
  UPDATE S.slot SET low = v_low, ranges = c->>'ranges', claim = greatest(claim, (c->>'claim')::bigint),
      suspect = CASE WHEN v_low >= suspect THEN 0 ELSE suspect END, matched = matched + (c->>'total')::bigint,
      done = done + (c->>'done')::bigint, skipped = skipped + (c->>'skipped')::bigint,
      discarded = discarded + (c->>'discarded')::bigint, expired = expired + (c->>'expired')::bigint,
      duplicate = duplicate + (c->>'duplicate')::bigint
    WHERE sub = l.sub AND gen = l.gen AND slot = l.slot;
  FOR n IN SELECT jsonb_array_elements(c->'matched') LOOP
    PERFORM 1 FROM S.counted WHERE sub = l.sub AND gen = l.gen AND type = n->>0;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'the subscription never named the type %', n->>0 USING ERRCODE = 'FL003';
    END IF;
    INSERT INTO S.matched AS m (sub, gen, slot, type, n) VALUES (l.sub, l.gen, l.slot, n->>0, (n->>1)::bigint)
      ON CONFLICT (sub, gen, slot, type) DO UPDATE SET n = m.n + excluded.n;
  END LOOP;
  IF c ? 'insert' THEN v_keys := S.insert_rows(p_session, l, c->'insert'); END IF;
  IF c ? 'effects' THEN head := S.enact(l.sub, c->'effects', p_head, p_now, p_shares); END IF;
  INSERT INTO S.seen(sub, gen, slot, identity, at_ms)
    SELECT DISTINCT ON (x->>0) l.sub, l.gen, l.slot, x->>0, (x->>1)::float8 FROM jsonb_array_elements(c->'seen') x
    ORDER BY x->>0, (x->>1)::float8 DESC
    ON CONFLICT (sub, gen, slot, identity) DO UPDATE SET at_ms = excluded.at_ms;
  DELETE FROM S.settled e WHERE e.sub = l.sub AND e.gen = l.gen AND e.slot = l.slot AND e.position <= v_low
    AND NOT EXISTS(SELECT 1 FROM S.delivery d WHERE d.sub = e.sub AND d.gen = e.gen AND d.slot = e.slot
      AND d.position = e.position);
  answer := S.recorded(l.sub, l.gen, l.slot, v_keys, false);
END $$;

CREATE OR REPLACE FUNCTION S.insert_rows(p_session bigint, l S.slot, p_rows jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  r jsonb;
  v_keys text[] := '{}';
  v_state integer;
  v_holds boolean;
  v_stop boolean;
  v_position bigint;
BEGIN
  FOR r IN SELECT jsonb_array_elements(p_rows) LOOP
    v_position := (r->>'position')::bigint;
    v_holds := (r->>'holds')::boolean;
    v_state := (r->>'state')::integer;
    IF v_holds AND v_state <> 2 AND S.is_behind(l.sub, l.gen, l.slot, r->>'key', v_position) THEN v_state := 0; END IF;
    v_stop := v_state = 4 AND (r->>'stop')::boolean;
    INSERT INTO S.delivery(sub, gen, slot, position, event_slot, key, holds, state, stop, due_ms, token, session, failures,
        event_id, correlation_id, at_ms, event, grp)
      VALUES (l.sub, l.gen, l.slot, v_position, (r->>'eventSlot')::integer, r->>'key', v_holds, v_state, v_stop,
        CASE WHEN v_state IN (1, 3) THEN (r->>'dueMs')::float8 END, (r->>'token')::bigint,
        CASE WHEN v_state = 2 THEN p_session END, (r->>'failures')::integer, r->>'eventId', r->>'correlationId',
        (r->>'atMs')::float8, r->>'event', CASE WHEN v_state = 5 THEN coalesce(r->>'group', '') END)
      ON CONFLICT (sub, gen, slot, position) DO NOTHING;
    IF NOT FOUND THEN RAISE EXCEPTION 'position % has a row already', v_position USING ERRCODE = 'FL003'; END IF;
    IF r ? 'failure' THEN PERFORM S.remember(l.sub, l.gen, l.slot, v_position, r->'failure'); END IF;
    PERFORM S.count_row(l.sub, l.gen, l.slot, v_state, v_holds, v_stop, 1);
    v_keys := v_keys || (r->>'key');
  END LOOP;
  RETURN v_keys;
END $$;

CREATE OR REPLACE FUNCTION S.enact(p_sub integer, p_effects jsonb, p_head bigint, p_now float8, p_shares boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  e jsonb;
  v jsonb;
  v_index integer;
  v_same boolean;
  v_fresh boolean;
BEGIN
  FOR e IN SELECT x.value FROM jsonb_array_elements(p_effects) WITH ORDINALITY AS x(value, i) ORDER BY x.i LOOP
    v_index := 0;
    FOR v IN SELECT x.value FROM jsonb_array_elements(e->'emits') WITH ORDINALITY AS x(value, i) ORDER BY x.i LOOP
      IF p_shares THEN
        SELECT t.fresh, t.same INTO v_fresh, v_same FROM S.put(v, p_head + 1, p_now) t;
        IF v_fresh THEN p_head := p_head + 1; END IF;
      ELSE
        SELECT t.same INTO v_same FROM S.enqueue(v) t;
      END IF;
      IF NOT v_same THEN
        RAISE EXCEPTION 'an emitted event has another content' USING ERRCODE = 'FL001',
          DETAIL = jsonb_build_object('position', e->'position', 'index', v_index)::text;
      END IF;
      v_index := v_index + 1;
    END LOOP;
    v_index := 0;
    FOR v IN SELECT x.value FROM jsonb_array_elements(e->'delayed') WITH ORDINALITY AS x(value, i) ORDER BY x.i LOOP
      SELECT t.same INTO v_same FROM S.delay(v->'event', v->>'correlation', (v->>'dueMs')::float8, p_shares) t;
      IF NOT v_same THEN
        RAISE EXCEPTION 'a delayed event has another content' USING ERRCODE = 'FL001',
          DETAIL = jsonb_build_object('position', e->'position', 'index', v_index, 'delayed', true)::text;
      END IF;
      v_index := v_index + 1;
    END LOOP;
    IF jsonb_typeof(e->'state'->1) = 'string' THEN
      INSERT INTO S.state(sub, key, value) VALUES (p_sub, e->'state'->>0, e->'state'->>1)
        ON CONFLICT (sub, key) DO UPDATE SET value = excluded.value;
    ELSIF e ? 'state' THEN
      DELETE FROM S.state WHERE sub = p_sub AND key = e->'state'->>0;
    END IF;
  END LOOP;
  RETURN p_head;
END $$;

CREATE OR REPLACE FUNCTION S.end_row(
  p_session bigint, c jsonb, p_head bigint, p_now float8, p_shares boolean, OUT answer jsonb, OUT head bigint)
LANGUAGE plpgsql AS $$
DECLARE
  d S.delivery := S.running(p_session, c);
  v_promoted boolean := false;
BEGIN
  head := p_head;
  IF d.sub IS NULL THEN RETURN; END IF;
  IF c ? 'barred' THEN answer := '{"status": "refused"}'; RETURN; END IF;
  IF c ? 'as' THEN
    IF c ? 'effects' THEN head := S.enact(d.sub, c->'effects', p_head, p_now, p_shares); END IF;
    v_promoted := S.close_row(d, c->>'as');
  ELSE
    UPDATE S.delivery SET failures = (c->>'failures')::integer
      WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
    IF c ? 'failure' THEN PERFORM S.remember(d.sub, d.gen, d.slot, d.position, c->'failure'); END IF;
    IF (c->>'state')::integer = 4 THEN
      v_promoted := S.bury_row(d, (c->>'holds')::boolean, (c->>'stop')::boolean);
    ELSIF (c->>'state')::integer = 5 THEN
      PERFORM S.defer_row(d, c->>'group');
    ELSIF (c->>'waits')::boolean THEN
      v_promoted := S.wait_row(d, (c->>'dueMs')::float8);
    ELSE
      PERFORM S.release_row(d, (c->>'state')::integer, (c->>'dueMs')::float8);
    END IF;
    IF (c->>'state')::integer <> 4 AND c ? 'holds' THEN
      v_promoted := S.hold_row(d, (c->>'holds')::boolean) OR v_promoted;
    END IF;
  END IF;
  answer := S.recorded(d.sub, d.gen, d.slot, ARRAY[d.key], v_promoted);
END $$;

CREATE OR REPLACE FUNCTION S.start(p_session bigint, c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  l S.slot := S.leased(p_session, c);
  d S.delivery;
  v_holds boolean;
BEGIN
  IF l.sub IS NULL THEN RETURN NULL; END IF;
  SELECT * INTO d FROM S.delivery WHERE sub = l.sub AND gen = l.gen AND slot = l.slot
    AND position = (c->>'position')::bigint AND token = (c->>'rowToken')::bigint AND state IN (1, 3, 5);
  IF NOT FOUND THEN RETURN NULL; END IF;
  v_holds := d.holds OR (c->>'holds')::boolean;
  IF v_holds AND S.runs_other(d.sub, d.gen, d.slot, d.key, d.position) THEN RETURN NULL; END IF;
  UPDATE S.delivery SET state = 2, due_ms = NULL, session = p_session, holds = v_holds, waits = false, woken = false,
      token = token + 1
    WHERE sub = d.sub AND gen = d.gen AND slot = d.slot AND position = d.position;
  PERFORM S.recount(d, 2, v_holds, d.stop);
  RETURN S.recorded(d.sub, d.gen, d.slot, ARRAY[d.key], false);
END $$;

CREATE OR REPLACE FUNCTION S.announce(
  p_session bigint, c jsonb, p_head bigint, p_now float8, p_shares boolean, OUT answer jsonb, OUT head bigint)
LANGUAGE plpgsql AS $$
DECLARE
  l S.slot;
  d S.delivery;
  p record;
BEGIN
  head := p_head;
  l := S.leased(p_session, c);
  d := S.running(p_session, c);
  IF l.sub IS NULL AND d.sub IS NULL THEN RETURN; END IF;
  answer := '{"status": "ok", "freed": [], "promoted": false}';
  IF p_shares THEN
    SELECT * INTO p FROM S.put(c->'event', p_head + 1, p_now);
    IF p.fresh THEN head := p_head + 1; END IF;
    answer := answer || jsonb_build_object('announced', jsonb_build_object('diverged', NOT p.same, 'appended',
      jsonb_build_object('slot', p.slot, 'position', p.place, 'duplicate', NOT p.fresh)));
  ELSE
    SELECT * INTO p FROM S.enqueue(c->'event');
    answer := answer || jsonb_build_object('announced', jsonb_build_object('diverged', NOT p.same));
  END IF;
END $$;

CREATE OR REPLACE FUNCTION S.relay(p_session bigint, c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  l S.slot := S.leased(p_session, c);
BEGIN
  IF l.sub IS NULL THEN RETURN NULL; END IF;
  DELETE FROM S.emitted WHERE seq IN (SELECT jsonb_array_elements_text(c->'done')::bigint);
  RETURN '{"status": "ok", "freed": [], "promoted": false}';
END $$;
`;
