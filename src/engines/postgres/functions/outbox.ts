import { limits } from "../../../limits.ts";

/**
 * Events of the user's own transactions. Such a transaction inserts here and does nothing else of ours: there is no unique
 * index, no lock and no NOTIFY that a stranger would wait for. `carry_outbox` moves what has been committed into the log.
 *
 * The checks keep out what would make a whole run of it fail: one bad row would hold up everybody's events. `hash` is the
 * crc32 of the key (of the id where there is none): the slot is its remainder, and the number of slots is the log's.
 * What a ledger keeps beside a foreign log had this name before.
 */
export const outboxTables = `
ALTER TABLE S.outbox RENAME TO emitted;
ALTER INDEX S.outbox_pkey RENAME TO emitted_pkey;
ALTER INDEX S.outbox_source_id_key RENAME TO emitted_source_id_key;
ALTER SEQUENCE S.outbox_seq_seq RENAME TO emitted_seq_seq;

CREATE TABLE S.outbox(
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source text COLLATE "C" NOT NULL CHECK (char_length(source) BETWEEN 1 AND ${limits.nameLengthMax}),
  id text COLLATE "C" NOT NULL CHECK (octet_length(id) BETWEEN 1 AND ${limits.keyBytesMax}),
  type text COLLATE "C" NOT NULL CHECK (char_length(type) BETWEEN 1 AND ${limits.nameLengthMax}),
  key text COLLATE "C" CHECK (octet_length(key) BETWEEN 1 AND ${limits.keyBytesMax}),
  grp text COLLATE "C" CHECK (octet_length(grp) BETWEEN 1 AND ${limits.keyBytesMax}),
  hash bigint NOT NULL CHECK (hash BETWEEN 0 AND 4294967295),
  time_ms float8 NOT NULL,
  version bigint NOT NULL CHECK (version BETWEEN 1 AND ${Number.MAX_SAFE_INTEGER}),
  fingerprint text COLLATE "C" NOT NULL CHECK (char_length(fingerprint) <= 64),
  plain boolean NOT NULL,
  attributes text COLLATE "C" NOT NULL CHECK (octet_length(attributes) <= ${limits.attributesBytesMax}
    AND S.subject_of(attributes) IS DISTINCT FROM ''),
  data text COLLATE "C" NOT NULL CHECK (octet_length(data) BETWEEN 1 AND ${limits.eventBytesMax}),
  crc bigint NOT NULL CHECK (crc BETWEEN 0 AND 4294967295),
  refused text,
  inserted_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX outbox_waiting ON S.outbox(seq) WHERE refused IS NULL;
CREATE INDEX outbox_refused ON S.outbox(seq) WHERE refused IS NOT NULL;

CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON S.outbox FOR EACH STATEMENT
  WHEN (current_setting('factlog.guest', true) = 'on') EXECUTE FUNCTION S.guard();
`;

/**
 * Moves events from the outbox into the log, in the order of `seq`, at most so many and of so many bytes. One transaction
 * does all of it under a lock that ends with it: nobody else moves meanwhile, and if its process dies, nothing has
 * happened. A lower `seq` that is committed later is seen by a later call: nothing is skipped.
 *
 * An identity that the log knows is dropped where it says the same; else its row stays, with the reason in `refused`, and
 * holds up nothing. `head` is that of the log after events were appended.
 */
export const carryFunctions = `
CREATE OR REPLACE FUNCTION S.id_bytes(p_id text) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN p_id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN decode(replace(p_id, '-', ''), 'hex')
    WHEN octet_length(convert_to(p_id, 'UTF8')) = 16 THEN convert_to(p_id, 'UTF8') || '\\x00'::bytea
    ELSE convert_to(p_id, 'UTF8') END
$$;

CREATE OR REPLACE FUNCTION S.name_outbox(p_seqs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO S.source(name)
    SELECT DISTINCT o.source FROM S.outbox o WHERE o.seq = ANY(p_seqs)
      AND NOT EXISTS(SELECT 1 FROM S.source k WHERE k.name = o.source)
    ON CONFLICT DO NOTHING;
  INSERT INTO S.type(name)
    SELECT DISTINCT o.type FROM S.outbox o WHERE o.seq = ANY(p_seqs)
      AND NOT EXISTS(SELECT 1 FROM S.type k WHERE k.name = o.type)
    ON CONFLICT DO NOTHING;
  INSERT INTO S.schema(type, version, fingerprint, plain)
    SELECT DISTINCT t.id, o.version, o.fingerprint, o.plain FROM S.outbox o JOIN S.type t ON t.name = o.type
      WHERE o.seq = ANY(p_seqs) AND NOT EXISTS(SELECT 1 FROM S.schema k WHERE k.type = t.id AND k.version = o.version
        AND k.fingerprint = o.fingerprint AND k.plain = o.plain)
    ON CONFLICT DO NOTHING;
END $$;

CREATE OR REPLACE FUNCTION S.carry_outbox(
  p_limit integer, p_bytes bigint, p_now float8, p_channel text, OUT carried bigint, OUT more boolean, OUT head bigint)
LANGUAGE plpgsql AS $$
DECLARE
  v_seqs bigint[];
  v_slots bigint;
  v_from bigint;
  v_fresh bigint;
BEGIN
  carried := 0;
  more := EXISTS(SELECT 1 FROM S.outbox WHERE refused IS NULL);
  IF NOT more OR NOT pg_try_advisory_xact_lock(S.lock_class(), -1) THEN RETURN; END IF;
  SELECT array_agg(w.seq) INTO v_seqs FROM (
    SELECT o.seq, sum(o.bytes) OVER (ORDER BY o.seq) - o.bytes AS before FROM (
      SELECT seq, octet_length(data) AS bytes FROM S.outbox WHERE refused IS NULL ORDER BY seq LIMIT p_limit) o) w
    WHERE w.before < p_bytes;
  PERFORM S.name_outbox(v_seqs);
  SELECT value::bigint INTO v_slots FROM S.meta WHERE name = 'slots';
  SELECT position INTO v_from FROM S.head FOR NO KEY UPDATE;
  WITH batch AS MATERIALIZED (
    SELECT o.seq, k.id AS source, s.id AS schema, t.id AS type, o.version, (o.hash % v_slots)::integer AS slot, o.crc,
      o.time_ms, S.id_bytes(o.id) AS id, o.key, o.grp, o.attributes, o.data
    FROM S.outbox o JOIN S.source k ON k.name = o.source JOIN S.type t ON t.name = o.type
      JOIN S.schema s ON s.type = t.id AND s.version = o.version AND s.fingerprint = o.fingerprint AND s.plain = o.plain
    WHERE o.seq = ANY(v_seqs)),
  judged AS MATERIALIZED (
    SELECT b.*, e.position IS NULL AND row_number() OVER same_id = 1 AS fresh,
      coalesce(e.data, first_value(b.data) OVER same_id) = b.data
        AND coalesce(es.type, first_value(b.type) OVER same_id) = b.type
        AND coalesce(es.version, first_value(b.version) OVER same_id) = b.version
        AND CASE WHEN e.position IS NULL THEN first_value(b.key) OVER same_id ELSE e.key END IS NOT DISTINCT FROM b.key
        AND S.subject_of(coalesce(e.attributes, first_value(b.attributes) OVER same_id))
          IS NOT DISTINCT FROM S.subject_of(b.attributes) AS same
    FROM batch b LEFT JOIN S.event e ON e.source = b.source AND e.id = b.id LEFT JOIN S.schema es ON es.id = e.schema
    WINDOW same_id AS (PARTITION BY b.source, b.id ORDER BY b.seq)),
  appended AS (
    INSERT INTO S.event(position, source, schema, slot, crc, time_ms, recorded_ms, id, key, grp, attributes, data)
      SELECT v_from + row_number() OVER (ORDER BY j.seq), j.source, j.schema, j.slot, j.crc, j.time_ms, p_now, j.id, j.key,
        j.grp, j.attributes, j.data
      FROM judged j WHERE j.fresh ORDER BY j.seq
    RETURNING 1),
  refusals AS (
    UPDATE S.outbox o SET refused = 'ID_CONFLICT: an event with this id of this source is in the log, or came before, '
        'with other content; give a new fact an id of its own'
      FROM judged j WHERE j.seq = o.seq AND NOT j.same),
  gone AS (DELETE FROM S.outbox o USING judged j WHERE j.seq = o.seq AND j.same RETURNING 1)
  SELECT (SELECT count(*) FROM appended), (SELECT count(*) FROM gone) INTO v_fresh, carried;
  IF v_fresh > 0 THEN
    PERFORM S.raise_head(v_from, v_from + v_fresh, p_channel);
    head := v_from + v_fresh;
  END IF;
  more := EXISTS(SELECT 1 FROM S.outbox WHERE refused IS NULL);
END $$;
`;
