import { FactlogError } from "../../errors.ts";
import type { LogCapabilities } from "../../engine/capabilities.ts";
import type {
  Appended,
  EventLog,
  EventRef,
  HeadCount,
  OutboxState,
  ReadPage,
  ReadRequest,
  Relayed,
} from "../../engine/event-log.ts";
import type { EncodedEvent, PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import { limits } from "../../limits.ts";
import { AppendGroup } from "./append-group.ts";
import { eventColumns, idHex, toEvent, type EventRow } from "./event-row.ts";
import type { Run } from "./connection.ts";
import type { Store } from "./store.ts";

/** Rows asked for beyond the limit, since some may be behind their slot's position. */
const pageRowsMin = 64;

/** The log over one schema. Appends share commits; positions are dense and in commit order. */
export class PostgresLog implements EventLog {
  readonly capabilities: LogCapabilities;
  readonly epoch: string;
  readonly #store: Store;
  readonly #group: AppendGroup;
  readonly #sql;
  #closing: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
    this.epoch = store.identity.epoch;
    this.capabilities = {
      totalOrder: true,
      dedupe: "retained",
      retention: "ours",
      counts: "exact",
      outbox: true,
      slots: store.identity.slots,
    };
    this.#group = new AppendGroup(store);
    this.#sql = sqlOf(store);
    store.use();
  }

  async append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]> {
    this.#requireOpen();
    return this.#group.append(batch);
  }

  async read({ after, types, limit, scanMax }: ReadRequest): Promise<ReadPage> {
    this.#requireOpen();
    if (after.size === 0) return { events: [], scannedTo: new Map(), atHead: true };
    const from = Math.min(...after.values());
    const walk: Walk = { after, types, limit, at: from, endAt: from + scanMax, atHead: false, events: [] };
    while (!walk.atHead && walk.events.length < limit && walk.at < walk.endAt) await this.#page(walk);
    const scannedTo = new Map([...after].map(([slot, position]) => [slot, Math.max(position, walk.at)]));
    return { events: walk.events, scannedTo, atHead: walk.atHead };
  }

  async fetch(refs: readonly EventRef[]): Promise<readonly (StoredEvent | undefined)[]> {
    this.#requireOpen();
    if (refs.length === 0) return [];
    const values = [refs.map(({ position }) => position)];
    const rows = await this.#store.read((run) => run<EventRow>(this.#sql.fetch, values, "fetch"));
    await this.#store.names.know(rows);
    const found = new Map(rows.map((row) => [row[0], toEvent(row, this.#store.names)]));
    return refs.map(({ slot, position }) => {
      const event = found.get(position);
      return event?.slot === slot ? event : undefined;
    });
  }

  async locate(id: string): Promise<readonly EventRef[]> {
    this.#requireOpen();
    const rows = await this.#store.read((run) => run<[number, number]>(this.#sql.locate, [idHex(id)], "locate"));
    return rows.map(([slot, position]) => ({ slot, position }));
  }

  async wake(maxMs: number, signal: AbortSignal): Promise<void> {
    if (this.#closing !== undefined) return;
    await this.#store.bell.wait(maxMs, signal);
  }

  async count(types: readonly string[] = []): Promise<HeadCount> {
    this.#requireOpen();
    const rows = await this.#store.read((run) => run<[number, string | null, number]>(this.#sql.count, [], "count"));
    const head = rows[0]![0];
    const all = new Map(rows.flatMap(([, type, n]) => (type === null ? [] : [[type, n] as const])));
    const named = types.length > 0 ? types : [...all.keys()];
    return {
      heads: new Map(Array.from({ length: this.capabilities.slots }, (_, slot) => [slot, head])),
      appended: new Map(named.map((type) => [type, all.get(type) ?? 0])),
    };
  }

  async relay(): Promise<Relayed> {
    this.#requireOpen();
    const { appends, env, channel, bell } = this.#store;
    const values = [limits.relayEvents, limits.commitBytesMax, env.now(), channel];
    const rows = await this.#store.repeat(appends, (run) =>
      run<[number, boolean, number | null]>(this.#sql.relay, values, "relay"),
    );
    const [carried, more, head] = rows[0]!;
    if (head !== null) bell.ring(head);
    return { carried, more };
  }

  async outbox(): Promise<OutboxState> {
    this.#requireOpen();
    return this.#store.read((run) => outboxState(this.#store, run));
  }

  close(): Promise<void> {
    this.#closing ??= this.#group.idle().then(() => this.#store.leave());
    this.#store.bell.wakeAll();
    return this.#closing;
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closed(this.#store.location.shown);
    this.#store.requireSound();
  }

  /** One statement is one snapshot, and whoever sees a position sees all below it: so the head says how far this looked. */
  async #page(walk: Walk): Promise<void> {
    const { names } = this.#store;
    const rowsMax = Math.max(pageRowsMin, walk.limit - walk.events.length);
    const values = [walk.at, walk.endAt, rowsMax, walk.types === undefined ? null : [...walk.types]];
    const rows = await this.#store.read((run) => run<PageRow>(this.#sql.page, values, "page"));
    const head = rows[0]![12];
    const found = rows.filter((row): row is PageRow & EventRow => row[0] !== null);
    await names.know(found);
    for (const row of found) {
      if (walk.events.length === walk.limit) return;
      walk.at = row[0];
      if (row[0] > (walk.after.get(row[4]) ?? Infinity)) walk.events.push(toEvent(row, names));
    }
    if (found.length === rowsMax) return;
    walk.at = Math.max(walk.at, Math.min(head, walk.endAt));
    walk.atHead = walk.at >= head;
  }
}

interface Walk {
  readonly after: ReadRequest["after"];
  readonly types: ReadonlySet<string> | undefined;
  readonly limit: number;
  /** Looked at up to here. */
  at: PositionNumber;
  /** Looks at no more than this. */
  readonly endAt: PositionNumber;
  atHead: boolean;
  readonly events: StoredEvent[];
}

type PageRow = readonly [position: PositionNumber | null, ...rest: readonly unknown[]] & {
  readonly 12: PositionNumber;
};

function sqlOf(store: Store) {
  return {
    page: store.sql(
      `SELECT p.*, h.position FROM S.head h LEFT JOIN LATERAL (
         SELECT ${eventColumns} FROM S.event e
         WHERE e.position > $1 AND e.position <= least(h.position, $2::bigint)
           AND ($4::text[] IS NULL OR e.schema = ANY(ARRAY(
             SELECT s.id FROM S.schema s JOIN S.type t ON t.id = s.type WHERE t.name = ANY($4::text[]))))
         ORDER BY e.position LIMIT $3
       ) p ON true ORDER BY p.position`,
    ),
    fetch: store.sql(`SELECT ${eventColumns} FROM S.event e WHERE e.position = ANY($1::bigint[])`),
    locate: store.sql(
      `SELECT e.slot, e.position FROM S.source s, LATERAL (
         SELECT slot, position FROM S.event WHERE source = s.id AND id = decode($1, 'hex')) e ORDER BY 2`,
    ),
    relay: store.sql("SELECT carried, more, head FROM S.carry_outbox($1, $2, $3, $4)"),
    count: store.sql("SELECT h.position, t.name, t.appended FROM S.head h LEFT JOIN S.type t ON t.appended > 0"),
  };
}

export async function outboxState(store: Store, run: Run): Promise<OutboxState> {
  const count = (refused: string): string =>
    `(SELECT count(*) FROM (SELECT 1 FROM S.outbox WHERE refused ${refused} LIMIT ${limits.outboxCountedMax}) counted)`;
  const [row] = await run<[number, number, number]>(
    store.sql(
      `SELECT ${count("IS NULL")}, coalesce((SELECT extract(epoch FROM clock_timestamp() - inserted_at) * 1000
         FROM S.outbox WHERE refused IS NULL ORDER BY seq LIMIT 1), 0)::float8, ${count("IS NOT NULL")}`,
    ),
  );
  const [depth, oldestMs, refused] = row!;
  return { depth, oldestMs: Math.max(0, oldestMs), refused };
}

export function closed(shown: string): FactlogError {
  return new FactlogError("CLOSED", `${shown} was closed: open it again.`);
}
