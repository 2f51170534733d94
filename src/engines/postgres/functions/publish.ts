import { limits } from "../../../limits.ts";

/**
 * `publish`: for other languages, and for triggers. It writes the event down as `encodeEvent` does; that both come to the
 * same slot and checksum is tested. It runs with the rights of its caller, who needs to INSERT into `outbox`.
 *
 * crc32 is a function of the server from 18 on; before, a loop over the bytes takes its place. The loop's table is the
 * usual one of the reflected polynomial.
 */
export const publishFunctions = `
CREATE OR REPLACE FUNCTION S.crc32(p_bytes bytea) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF current_setting('server_version_num')::integer >= 180000 THEN RETURN pg_catalog.crc32(p_bytes); END IF;
  RETURN S.crc32_loop(p_bytes);
END $$;

CREATE OR REPLACE FUNCTION S.crc32_loop(p_bytes bytea) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  v_table CONSTANT bigint[] := '{${crcTable().join(",")}}';
  v_crc bigint := 4294967295;
BEGIN
  FOR i IN 0 .. length(p_bytes) - 1 LOOP
    v_crc := (v_crc >> 8) # v_table[1 + ((v_crc # get_byte(p_bytes, i)) & 255)];
  END LOOP;
  RETURN v_crc # 4294967295;
END $$;

CREATE OR REPLACE FUNCTION S.uuid_v7() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
    substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid::text
$$;

CREATE OR REPLACE FUNCTION S.require(p_holds boolean, p_what text, p_is text, p_do text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_holds THEN RETURN; END IF;
  RAISE EXCEPTION 'publish: % %. Nothing was stored.', p_what, p_is USING ERRCODE = '22023', HINT = p_do;
END $$;

CREATE OR REPLACE FUNCTION S.require_name(p_what text, p_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM S.require(p_name IS NOT NULL, p_what, 'is NULL', 'Give a name.');
  PERFORM S.require(char_length(p_name) BETWEEN 1 AND ${limits.nameLengthMax}, p_what,
    'has ' || char_length(p_name) || ' characters', 'Give 1 to ${limits.nameLengthMax}.');
  PERFORM S.require(p_name !~ '[\\u0001-\\u001f\\u007f-\\u009f]', p_what, 'holds a control character', 'Give printable text.');
END $$;

CREATE OR REPLACE FUNCTION S.require_id(p_what text, p_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM S.require(octet_length(p_id) BETWEEN 1 AND ${limits.keyBytesMax}, p_what,
    'has ' || octet_length(p_id) || ' bytes', 'Give 1 to ${limits.keyBytesMax} bytes, or NULL for none.');
END $$;

CREATE OR REPLACE FUNCTION S.publish(
  type text, key text, data jsonb, id text DEFAULT NULL, source text DEFAULT 'factlog', version bigint DEFAULT 1)
RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  v_id text := coalesce(id, S.uuid_v7());
  v_text text := data::text;
  v_time bigint := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
  v_key bytea := CASE WHEN key IS NULL THEN ''::bytea ELSE convert_to('=' || key, 'UTF8') END;
BEGIN
  PERFORM S.require_name('type', type);
  PERFORM S.require_name('source', source);
  IF key IS NOT NULL THEN PERFORM S.require_id('key', key); END IF;
  PERFORM S.require_id('id', v_id);
  PERFORM S.require(version BETWEEN 1 AND ${Number.MAX_SAFE_INTEGER}, 'version', 'is ' || coalesce(version::text, 'NULL'),
    'Give the version of the event type whose data these are, 1 or more.');
  PERFORM S.require(data IS NOT NULL, 'data', 'is NULL', 'Give JSON; nothing at all is ''null''::jsonb.');
  PERFORM S.require(octet_length(v_text) <= ${limits.eventBytesMax}, 'data', 'has ' || octet_length(v_text) || ' bytes',
    'At most ${limits.eventBytesMax}: store large things elsewhere and publish where they are.');
  PERFORM S.require(
    NOT jsonb_path_exists(data, 'strict $.**{${limits.nestingMax}} ? (@.type() == "array" || @.type() == "object")'), 'data',
    'has more than ${limits.nestingMax} levels', 'Give data that are flatter.');
  INSERT INTO S.outbox(source, id, type, key, grp, hash, time_ms, version, fingerprint, plain, attributes, data, crc)
    VALUES (source, v_id, type, key, NULL, S.crc32(convert_to(coalesce(key, v_id), 'UTF8')), v_time, version, '', false, '',
      v_text, S.crc32(convert_to(source, 'UTF8') || '\\x00' || convert_to(v_id, 'UTF8') || '\\x00'
        || convert_to(type, 'UTF8') || '\\x00' || v_key || '\\x0000' || convert_to(v_time::text, 'UTF8') || '\\x00'
        || convert_to(version::text, 'UTF8') || '\\x0000' || convert_to(v_text, 'UTF8')));
  RETURN v_id;
END $$;
`;

function crcTable(): number[] {
  return Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc >>> 0;
  });
}
