import type { Finding } from "../../engine/engine.ts";
import { isIntact } from "../../event/codec.ts";
import { inspectLedger } from "./conservation.ts";
import type { Run } from "./connection.ts";
import { outboxState } from "./event-log.ts";
import { horizonOf } from "./horizon.ts";
import { eventColumns, toEvent, type EventRow } from "./event-row.ts";
import type { Store } from "./store.ts";

/** Events whose checksum is verified; of a longer log, the newest. */
const checksumEventsMax = 100_000;
/** Events read in one go. */
const chunkEvents = 5_000;
/** Events counted anew to compare them with the counters per type. */
const countedEventsMax = 1_000_000;
/** Half of it full, a stuck listener is near: a full queue stops every commit that notifies. */
const notifyQueueMax = 0.5;
/** Workers look several times a second: what lies in the outbox for longer is moved by nobody. */
const outboxAgeMaxMs = 60_000;
/** What is due, and how old something is, is told by the clocks of processes: further apart they show in it. */
const clocksApartMaxMs = 60_000;
/** Refused events that are named. */
const refusedShown = 10;

/** Checks of the server and of what the log's numbers promise, these in one snapshot. */
export async function inspect(store: Store): Promise<readonly Finding[]> {
  const ofServer = await store.read((run) => server(store, run));
  const ofLog = await store.snapshot(async (run) => {
    const head = (await run<[number]>(store.sql("SELECT position FROM S.head")))[0]![0];
    const appended = new Map(
      await run<[string, number]>(store.sql("SELECT name, appended FROM S.type WHERE appended > 0")),
    );
    return [
      await checksums(store, run, head),
      await counters(store, run, head, appended),
      await outbox(store, run),
      ...(await inspectLedger(store, run, appended)),
    ];
  });
  return [...ofServer, ...ofLog];
}

async function server({ identity, env }: Store, run: Run): Promise<Finding[]> {
  const askedMs = env.now();
  const [row] = await run<[string, string, string, string, number, number]>(
    `SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('synchronous_commit'), pg_notification_queue_usage(),
       (extract(epoch FROM clock_timestamp()) * 1000)::float8`,
  );
  const aheadMs = (askedMs + env.now()) / 2 - row![5];
  const { behind, openMs, by, ok } = await horizonOf(run);
  const [version, fsync, pageWrites, commit, queue] = row!;
  const queueShare = Number(queue);
  return [
    {
      check: "settings",
      ok: fsync === "on" && pageWrites === "on" && !["off", "local"].includes(commit),
      message: `PostgreSQL ${version}, format ${identity.format}, ${identity.slots} slots, fsync ${fsync}, full_page_writes ${pageWrites}, synchronous_commit ${commit}`,
    },
    {
      check: "horizon",
      ok,
      message: `oldest snapshot ${behind} transactions behind, oldest transaction open for ${Math.round(openMs / 1_000)} s${by === undefined ? "" : `, by ${by}`}: as long as it is open, vacuum cleans nothing`,
    },
    {
      check: "clock",
      ok: Math.abs(aheadMs) < clocksApartMaxMs,
      message: `this process is ${Math.abs(Math.round(aheadMs / 1_000))} s ${aheadMs < 0 ? "behind" : "ahead of"} the server; retries, delayed events and redriven ones are due by the clocks of processes, deaths and order are not`,
    },
    {
      check: "notify queue",
      ok: queueShare < notifyQueueMax,
      message: `${Math.round(queueShare * 100)}% full; a session that listens and never comes out of its transaction fills it`,
    },
  ];
}

async function checksums(store: Store, run: Run, head: number): Promise<Finding> {
  const bad: number[] = [];
  let looked = 0;
  const text = store.sql(
    `SELECT ${eventColumns} FROM S.event e WHERE e.position > $1 ORDER BY e.position LIMIT ${chunkEvents}`,
  );
  await store.names.load(run);
  let at = Math.max(0, head - checksumEventsMax);
  for (let rows = await run<EventRow>(text, [at]); rows.length > 0; rows = await run<EventRow>(text, [at])) {
    for (const row of rows) if (!isIntact(toEvent(row, store.names))) bad.push(row[0]);
    looked += rows.length;
    at = rows.at(-1)![0];
  }
  const some = bad.length === 0 ? "" : `: checksum wrong at ${bad.slice(0, 10).join(", ")}`;
  return {
    check: "events",
    ok: bad.length === 0,
    message: `${looked} of ${head} events verified, ${bad.length} bad${some}`,
  };
}

async function outbox(store: Store, run: Run): Promise<Finding> {
  const { depth, oldestMs, refused } = await outboxState(store, run);
  const named = await run<[number, string, string, string, string]>(
    store.sql(
      `SELECT seq, source, id, type, refused FROM S.outbox WHERE refused IS NOT NULL ORDER BY seq LIMIT ${refusedShown}`,
    ),
  );
  const late = depth > 0 && oldestMs > outboxAgeMaxMs;
  const parts = [
    `${depth} waiting${depth === 0 ? "" : `, the oldest for ${Math.round(oldestMs / 1_000)} s`}`,
    ...(late ? ["no worker moves them: start one"] : []),
    `${refused} refused`,
    ...named.map(
      ([seq, source, id, type, why]) =>
        `seq ${seq}: ${type} ${JSON.stringify(id)} of ${JSON.stringify(source)}: ${why}`,
    ),
  ];
  return { check: "outbox", ok: !late && refused === 0, message: parts.join("; ") };
}

/** Positions are dense: the events counted over all types are as many as the head says, and as are there. */
async function counters(store: Store, run: Run, head: number, appended: ReadonlyMap<string, number>): Promise<Finding> {
  const total = [...appended.values()].reduce((sum, count) => sum + count, 0);
  const wrong = total === head ? [] : [`${total} over all types, head ${head}`];
  if (head <= countedEventsMax) {
    const there = await run<[string, number]>(
      store.sql(
        `SELECT t.name, count(e.position) FROM S.type t LEFT JOIN S.schema s ON s.type = t.id
         LEFT JOIN S.event e ON e.schema = s.id GROUP BY t.name`,
      ),
    );
    for (const [type, count] of there) {
      const said = appended.get(type) ?? 0;
      if (said !== count) wrong.push(`${type}: ${said} counted, ${count} there`);
    }
  }
  const message = wrong.length === 0 ? `${total} events over ${appended.size} types` : wrong.join("; ");
  return { check: "appended", ok: wrong.length === 0, message };
}
