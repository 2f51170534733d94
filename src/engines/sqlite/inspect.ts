import type { Finding } from "../../engine/engine.ts";
import { isIntact } from "../../event/codec.ts";
import { inspectLedger } from "./conservation.ts";
import { headSql } from "./counts.ts";
import type { Database } from "./database.ts";
import type { Store } from "./store.ts";

/** Beyond it SQLite's own check takes minutes; it is left to the command line. */
const quickCheckBytesMax = 1024 ** 3;
/** Events whose checksum is verified; of a longer log, so many at equal distances. */
const checksumEventsMax = 100_000;
/** Events counted anew to compare them with the counters per type. */
const countedEventsMax = 1_000_000;

export interface InspectOptions {
  /** The file itself is checked however large it is. Default false. */
  readonly whole?: boolean;
}

/**
 * Checks of the file and of what its numbers promise, in one snapshot. Synchronous for as long as it takes: seconds for
 * millions of pending events.
 */
export function inspect(store: Store, options: InspectOptions = {}): Promise<readonly Finding[]> {
  return store.snapshot(() => [
    settings(store),
    file(store, options),
    checksums(store),
    counters(store),
    ...inspectLedger(store.db, store.counts.read().appended),
  ]);
}

function settings({ db, location, identity }: Store): Finding {
  const pragma = (name: string): string => String(db.value(`PRAGMA ${name}`));
  const journal = pragma("journal_mode");
  const wanted = location.inMemory ? "memory" : "wal";
  const message =
    `SQLite ${process.versions.sqlite}, format ${identity.format}, ${identity.slots} slots, journal_mode ${journal}, ` +
    `synchronous FULL for what is acknowledged as durable and NORMAL for progress, page_size ${pragma("page_size")}`;
  const ok = journal === wanted && pragma("trusted_schema") === "0" && ["0", "null"].includes(pragma("mmap_size"));
  return { check: "settings", ok, message };
}

function file({ db }: Store, { whole = false }: InspectOptions): Finding {
  const bytes = Number(db.value("PRAGMA page_count")) * Number(db.value("PRAGMA page_size"));
  if (bytes > quickCheckBytesMax && !whole) {
    const message = `${bytes} bytes: not checked here; run PRAGMA quick_check with SQLite's command line`;
    return { check: "file", ok: true, message };
  }
  const found = db
    .prepare<[string]>("PRAGMA quick_check(10)")
    .all()
    .map(([text]) => text);
  const ok = found.length === 1 && found[0] === "ok";
  return { check: "file", ok, message: ok ? `${bytes} bytes, quick_check ok` : found.join("; ") };
}

function checksums({ db, reader }: Store): Finding {
  const head = Number(db.value(headSql));
  const step = Math.max(1, Math.ceil(head / checksumEventsMax));
  const bad: number[] = [];
  let looked = 0;
  for (let position = head; position > 0; position -= step) {
    const event = reader.at(position);
    if (event === undefined) continue;
    looked++;
    if (!isIntact(event)) bad.push(position);
  }
  const some = bad.length === 0 ? "" : `: checksum wrong at ${bad.slice(0, 10).join(", ")}`;
  return {
    check: "events",
    ok: bad.length === 0,
    message: `${looked} of ${head} events verified, ${bad.length} bad${some}`,
  };
}

/** Positions are dense: the events counted over all types are as many as the head says, and as are there. */
function counters({ db, counts }: Store): Finding {
  const { head, appended } = counts.read();
  const total = [...appended.values()].reduce((sum, count) => sum + count, 0);
  const wrong = head > countedEventsMax ? [] : miscounted(db, appended);
  if (total !== head) wrong.push(`${total} over all types, head ${head}`);
  const message = wrong.length === 0 ? `${total} events over ${appended.size} types` : wrong.join("; ");
  return { check: "appended", ok: wrong.length === 0, message };
}

function miscounted(db: Database, appended: ReadonlyMap<string, number>): string[] {
  const events = db.prepare<[string, number]>(
    `SELECT t.name, count(e.position) FROM factlog_type t LEFT JOIN factlog_schema s ON s.type = t.id
     LEFT JOIN factlog_event e ON e.schema = s.id GROUP BY t.name`,
  );
  return events
    .all()
    .filter(([type, count]) => appended.get(type) !== count)
    .map(([type, count]) => `${type}: ${appended.get(type)} counted, ${count} there`);
}
