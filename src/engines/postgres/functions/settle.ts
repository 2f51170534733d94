/**
 * `settle`: the last statement of a user's transaction. What it does stands or falls with what the user wrote.
 *
 * It locks the slot's row FOR KEY SHARE: such locks get along with each other and with the updates of progress, so that
 * the transactions of a process wait for nobody's commit; whatever takes a slot or a row from its session locks FOR UPDATE,
 * and waits for them. The entry is an insert; the head is locked last, and only for events.
 *
 * A transaction that settles several deliveries calls it for one after the other, in the order of their slots.
 *
 * An entry says `done`, or names attempts that may never be: those whose commit was sent into a connection that broke. Where
 * the entry of an attempt is not there, `void_attempt` makes it impossible, in the same row and under the same key, so
 * one of both comes first. That needs no right to end another role's backend, and holds behind a pooler.
 */
export const settleFunctions = `
CREATE OR REPLACE FUNCTION S.settle(p_session bigint, c jsonb, p_now float8, p_shares boolean, p_channel text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  l S.slot;
  d S.delivery;
  v_position bigint := (c->>'position')::bigint;
  v_mine boolean;
  v_base bigint;
  v_head bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a handler''s transaction must be read committed: its settle has to see what was committed before it'
      USING ERRCODE = '0A000';
  END IF;
  SET CONSTRAINTS ALL IMMEDIATE;
  PERFORM set_config('factlog.guest', 'off', true), set_config('idle_in_transaction_session_timeout', '5000', true);
  IF current_setting('synchronous_commit') IN ('off', 'local') THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
  SELECT * INTO l FROM S.slot WHERE sub = (c->>'sub')::integer AND gen = (c->>'gen')::integer
    AND slot = (c->>'slot')::integer FOR KEY SHARE;
  SELECT * INTO d FROM S.delivery WHERE sub = l.sub AND gen = l.gen AND slot = l.slot AND position = v_position;
  IF d.sub IS NOT NULL THEN
    v_mine := d.state = 2 AND d.session = p_session AND d.token = (c->>'rowToken')::bigint;
  ELSE
    v_mine := l.session = p_session AND l.token = (c->>'token')::bigint AND l.low < v_position
      AND NOT (c->>'hadRow')::boolean;
  END IF;
  IF v_mine IS NOT TRUE THEN
    RAISE EXCEPTION 'another holds this delivery now' USING ERRCODE = 'FL007', DETAIL = v_position;
  END IF;
  INSERT INTO S.settled AS e (sub, gen, slot, position, done, voided) VALUES (l.sub, l.gen, l.slot, v_position, true, '{}')
    ON CONFLICT (sub, gen, slot, position) DO UPDATE SET done = true
      WHERE NOT e.done AND NOT (c->>'attempt') = ANY(e.voided);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this delivery was settled before' USING ERRCODE = 'FL008', DETAIL = v_position;
  END IF;
  IF c ? 'effects' THEN
    IF p_shares AND (c->>'emits')::boolean THEN
      SELECT h.position INTO v_base FROM S.head h FOR NO KEY UPDATE;
    END IF;
    v_head := S.enact(l.sub, c->'effects', v_base, p_now, p_shares);
    IF v_head > v_base THEN PERFORM S.raise_head(v_base, v_head, p_channel); END IF;
  END IF;
END $$;

CREATE OR REPLACE FUNCTION S.void_attempt(p_sub integer, p_gen integer, p_slot integer, p_position bigint, p_attempt text)
RETURNS boolean LANGUAGE sql AS $$
  INSERT INTO S.settled AS e (sub, gen, slot, position, done, voided)
    SELECT l.sub, l.gen, l.slot, p_position, false, ARRAY[p_attempt] FROM S.slot l
      WHERE l.sub = p_sub AND l.gen = p_gen AND l.slot = p_slot
    ON CONFLICT (sub, gen, slot, position) DO UPDATE SET voided = e.voided || excluded.voided
    RETURNING done
$$;

CREATE OR REPLACE FUNCTION S.is_settled(d S.delivery) RETURNS boolean LANGUAGE sql AS $$
  SELECT EXISTS(SELECT 1 FROM S.settled e WHERE e.sub = d.sub AND e.gen = d.gen AND e.slot = d.slot
    AND e.position = d.position AND e.done)
$$;

CREATE OR REPLACE FUNCTION S.hand_over_row(d S.delivery) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF S.is_settled(d) THEN PERFORM S.close_row(d, 'done'); ELSE PERFORM S.release_row(d, 1, 0); END IF;
END $$;
`;
