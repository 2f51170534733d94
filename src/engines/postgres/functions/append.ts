/** Used by a check of a table: it comes before the others. */
export const subjectFunction = `
CREATE OR REPLACE FUNCTION S.subject_of(p_attributes text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_attributes = '' THEN NULL ELSE p_attributes::json ->> 'subject' END
$$;
`;

/**
 * `append`: a flush of publishes, in one round trip. The head row is locked, so that positions are given in the order of
 * the commits: whoever sees a position sees all below it. A known identity fails on the index `event_id`, and the whole
 * call with it; the caller then looks it up.
 *
 * `put`: one event of a settle; the caller holds the lock on the head. The place of a known identity is its first one.
 */
export const appendFunctions = `
CREATE OR REPLACE FUNCTION S.append(
  p_sources integer[], p_schemas integer[], p_slots integer[], p_crcs bigint[], p_times float8[], p_ids bytea[],
  p_keys text[], p_groups text[], p_attributes text[], p_data text[], p_now float8, p_channel text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_head bigint;
  v_count integer := cardinality(p_sources);
BEGIN
  SELECT position INTO v_head FROM S.head FOR NO KEY UPDATE;
  INSERT INTO S.event(position, source, schema, slot, crc, time_ms, recorded_ms, id, key, grp, attributes, data)
    SELECT v_head + u.i, u.source, u.schema, u.slot, u.crc, u.time_ms, p_now, u.id, u.key, u.grp, u.attributes, u.data
    FROM unnest(p_sources, p_schemas, p_slots, p_crcs, p_times, p_ids, p_keys, p_groups, p_attributes, p_data)
      WITH ORDINALITY AS u(source, schema, slot, crc, time_ms, id, key, grp, attributes, data, i);
  UPDATE S.type t SET appended = t.appended + c.n
    FROM (SELECT s.type, count(*) AS n FROM unnest(p_schemas) AS u(id) JOIN S.schema s ON s.id = u.id GROUP BY s.type) c
    WHERE t.id = c.type;
  UPDATE S.head SET position = v_head + v_count;
  PERFORM pg_notify(p_channel, (v_head + v_count)::text);
  RETURN v_head;
END $$;

${subjectFunction}
CREATE OR REPLACE FUNCTION S.known(p_event jsonb, OUT place bigint, OUT slot integer, OUT same boolean) LANGUAGE plpgsql AS $$
BEGIN
  SELECT e.position, e.slot, e.data = p_event->>'data' AND t.name = p_event->>'type'
      AND s.version = (p_event->>'version')::bigint AND e.key IS NOT DISTINCT FROM p_event->>'key'
      AND S.subject_of(e.attributes) IS NOT DISTINCT FROM S.subject_of(p_event->>'attributes')
    INTO place, slot, same
    FROM S.event e JOIN S.schema s ON s.id = e.schema JOIN S.type t ON t.id = s.type
    WHERE e.source = (p_event->>'sourceId')::integer AND e.id = decode(p_event->>'idHex', 'hex');
END $$;

CREATE OR REPLACE FUNCTION S.put(
  p_event jsonb, p_position bigint, p_now float8, OUT place bigint, OUT slot integer, OUT fresh boolean, OUT same boolean)
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO S.event(position, source, schema, slot, crc, time_ms, recorded_ms, id, key, grp, attributes, data)
    VALUES (p_position, (p_event->>'sourceId')::integer, (p_event->>'schemaId')::integer, (p_event->>'slot')::integer,
      (p_event->>'crc')::bigint, (p_event->>'timeMs')::float8, p_now, decode(p_event->>'idHex', 'hex'), p_event->>'key',
      p_event->>'group', p_event->>'attributes', p_event->>'data')
    ON CONFLICT (source, id) DO NOTHING;
  fresh := FOUND;
  IF fresh THEN
    place := p_position;
    slot := (p_event->>'slot')::integer;
    same := true;
    RETURN;
  END IF;
  SELECT k.place, k.slot, k.same INTO place, slot, same FROM S.known(p_event) k;
END $$;

CREATE OR REPLACE FUNCTION S.raise_head(p_from bigint, p_to bigint, p_channel text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE S.type t SET appended = t.appended + c.n
    FROM (SELECT s.type, count(*) AS n FROM S.event e JOIN S.schema s ON s.id = e.schema
          WHERE e.position > p_from AND e.position <= p_to GROUP BY s.type) c
    WHERE t.id = c.type;
  UPDATE S.head SET position = p_to;
  PERFORM pg_notify(p_channel, p_to::text);
END $$;

CREATE OR REPLACE FUNCTION S.enqueue(p_event jsonb, OUT fresh boolean, OUT same boolean) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO S.emitted(source, id, event) VALUES (p_event->>'source', p_event->>'id', p_event::text)
    ON CONFLICT (source, id) DO NOTHING;
  fresh := FOUND;
  SELECT fresh OR S.same_content(o.e, p_event)
    INTO same
    FROM (SELECT event::jsonb AS e FROM S.emitted WHERE source = p_event->>'source' AND id = p_event->>'id') o;
END $$;
`;
