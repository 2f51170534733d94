/** What a file of a format holds, read with SQL of the format itself and nothing of the product. */
import { readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

export interface Fixture {
  readonly format: number;
  readonly file: string;
  readonly contents: string;
}
const folder = fileURLToPath(new URL("fixtures/", import.meta.url));
export const fixture = (format: number): Fixture => ({
  format,
  file: `${folder}format-${format}.db.gz`,
  contents: `${folder}format-${format}.ndjson`,
});
/** All there are: one for each format that was ever released. */
export const fixtures: readonly Fixture[] = [fixture(1), fixture(2)];

export type Line =
  | { readonly event: Readonly<Record<string, string | number | null>> }
  | { readonly subscription: string; readonly rows: Readonly<Record<string, number>>; readonly closed: number }
  | { readonly state: string; readonly value: string };

export function linesOf({ contents }: Fixture): readonly Line[] {
  return readFileSync(contents, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}
/** A copy of the file to work on. */
export function unpack({ file }: Fixture, to: string): string {
  writeFileSync(to, gunzipSync(readFileSync(file)));
  return to;
}

const states = ["held", "ready", "running", "retrying", "dead", "deferred"];
const events = `SELECT e.position, o.name AS source, CASE typeof(e.id) WHEN 'blob' THEN lower(hex(e.id)) ELSE e.id END AS id,
  t.name AS type, s.version, e.slot, e.key, e.grp AS "group", e.time_ms AS timeMs, e.recorded_ms AS recordedMs,
  e.attributes, e.data, e.crc FROM factlog_event e JOIN factlog_source o ON o.id = e.source
  JOIN factlog_schema s ON s.id = e.schema JOIN factlog_type t ON t.id = s.type ORDER BY e.position`;

/** Of the formats 1 and 2. */
export function contentsOf(file: string): readonly Line[] {
  const db = new DatabaseSync(file, { readOnly: true });
  const all = <T>(text: string, ...values: number[]): T[] => db.prepare(text).all(...values) as T[];
  const subscriptions = all<{ id: number; name: string }>("SELECT id, name FROM factlog_subscription ORDER BY id");
  const lines: Line[] = [
    ...all<Record<string, string | number | null>>(events).map((event) => ({ event: { ...event } })),
    ...subscriptions.map(({ id, name }) => ({
      subscription: name,
      rows: Object.fromEntries(states.map((state, i) => [state, counted(db, id, i)])),
      closed: Number(
        db
          .prepare("SELECT sum(done + skipped + discarded + expired + duplicate) AS n FROM factlog_slot WHERE sub = ?")
          .get(id)?.["n"],
      ),
    })),
    ...all<{ key: string; value: string }>("SELECT key, value FROM factlog_state ORDER BY key").map(
      ({ key, value }) => ({
        state: key,
        value,
      }),
    ),
  ];
  db.close();
  return lines;
}

function counted(db: DatabaseSync, sub: number, state: number): number {
  const row = db.prepare("SELECT count(*) AS n FROM factlog_delivery WHERE sub = ? AND state = ?").get(sub, state);
  return Number(row?.["n"]);
}
