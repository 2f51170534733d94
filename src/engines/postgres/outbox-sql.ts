import { hashOf } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { quotedSchema } from "./location.ts";

/**
 * One statement, with one value, that leaves events in the outbox in their order. The value is JSON text: every driver
 * knows how to send that, and each spells arrays differently. It is text to the server too: some write a JSON parameter as
 * JSON once more.
 */
export function outboxInsert(events: readonly EncodedEvent[], schema: string): { text: string; values: [string] } {
  const columns = "source, id, type, key, grp, hash, time_ms, version, fingerprint, plain, attributes, data, crc";
  const text = `INSERT INTO ${quotedSchema(schema)}.outbox(${columns})
SELECT ${columns} FROM ROWS FROM (json_to_recordset($1::text::json) AS (source text, id text, type text, key text, grp text,
  hash bigint, time_ms float8, version bigint, fingerprint text, plain boolean, attributes text, data text, crc bigint))
  WITH ORDINALITY AS e(${columns}, place) ORDER BY place`;
  return { text, values: [JSON.stringify(events.map(rowOf))] };
}

function rowOf(event: EncodedEvent): Record<string, unknown> {
  const { source, id, type, key, group, timeMs, version, schema, plain, attributes, data, crc } = event;
  const times = { time_ms: timeMs, version, fingerprint: schema, plain };
  return { source, id, type, key, grp: group, hash: hashOf(event), ...times, attributes, data, crc };
}
