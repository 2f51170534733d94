import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Order } from "../workload.ts";

const columns = "position, source, lower(hex(id)), schema, slot, key, grp, time_ms, recorded_ms, attributes, data, crc";
type Row = [number, number, string, number, number, string, null, number, number, string, string, number];

/** Reads all events of a Factlog file: the same columns, the same checksum; parses and sums where it is told to. */
export function rawDrain(path: string, options: { readonly parse: boolean }): { count: number; sum: number } {
  const db = new DatabaseSync(path, { readOnly: true, returnArrays: true });
  const page = db.prepare(`SELECT ${columns} FROM factlog_event WHERE position > ? ORDER BY position LIMIT 1000`);
  const [source] = db.prepare("SELECT name FROM factlog_source").get() as unknown as [string];
  let after = 0;
  let count = 0;
  let sum = 0;
  for (;;) {
    const rows = page.all(after) as unknown as Row[];
    if (rows.length === 0) break;
    for (const row of rows) {
      if (!isIntact(row, source)) throw new Error(`event ${row[0]} is damaged`);
      if (options.parse) sum += (JSON.parse(row[10]) as Order).total;
      count++;
    }
    after = rows.at(-1)![0];
  }
  db.close();
  return { count, sum };
}

function isIntact([, , hex, , , key, , timeMs, , attributes, data, crc]: Row, source: string): boolean {
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return crc32(`${source}\0${id}\0order.placed\0=${key}\0\0${timeMs}\x001\0${attributes}\0${data}`) === crc;
}
