import { limits } from "../../limits.ts";
import type {
  DeliveryQuery,
  DeliveryRef,
  DeliveryRow,
  FailureRecord,
  OutboxRow,
  SlotRef,
  SlotState,
} from "../../engine/ledger.ts";
import type { EncodedEvent, StoredEvent } from "../../event/stored-event.ts";
import { rowStates, stateNumber } from "./changes.ts";
import { notThere } from "./command.ts";
import type { Run } from "./connection.ts";
import { decodeStart } from "../../engine/definition.ts";
import { decodeRanges } from "../../engine/ranges.ts";
import type { Store } from "./store.ts";

const columns = `d.sub, d.gen, d.slot, d.position, d.event_slot, d.key, d.holds, d.state, d.due_ms, d.token, d.session, d.scope,
  d.failures, d.crashes, d.redriven, d.event_id, d.correlation_id, d.at_ms, d.event, d.waits,
  f.at_ms, f.class, f.fingerprint, f.error`;
/** With its newest failure. */
const withFailure = `LEFT JOIN LATERAL (SELECT at_ms, class, fingerprint, error FROM S.failure f WHERE f.sub = d.sub
  AND f.gen = d.gen AND f.slot = d.slot AND f.position = d.position ORDER BY n DESC LIMIT 1) f ON true`;

type DeliveryCells = readonly [
  sub: number,
  gen: number,
  slot: number,
  position: number,
  eventSlot: number,
  key: string,
  holds: boolean,
  state: number,
  dueMs: number | null,
  token: number,
  session: number | null,
  scope: number,
  failures: number,
  crashes: number,
  redriven: boolean,
  eventId: string,
  correlationId: string,
  atMs: number,
  event: string | null,
  waits: boolean,
  ...failure: FailureCells | readonly [null, null, null, null],
];
type FailureCells = readonly [atMs: number, kind: string, fingerprint: string, error: string];
type SlotCells = readonly [
  low: number,
  ranges: string,
  claim: number,
  suspect: number,
  busy: string,
  deferred: string,
  seen: string,
  since: string,
  settled: string,
];

const refs = "unnest($1::integer[], $2::integer[], $3::integer[])";
const sqlOf = (store: Store) => ({
  /** Busy keys from key to key: a key may have a million rows. */
  load: store.sql(
    `SELECT l.low, l.ranges, l.claim, l.suspect,
       (WITH RECURSIVE keys(key) AS (
          (SELECT d.key FROM S.delivery d WHERE d.sub = l.sub AND d.gen = l.gen AND d.slot = l.slot AND d.holds
           ORDER BY d.key LIMIT 1)
          UNION ALL
          SELECT (SELECT d.key FROM S.delivery d WHERE d.sub = l.sub AND d.gen = l.gen AND d.slot = l.slot AND d.holds
                    AND d.key > k.key ORDER BY d.key LIMIT 1)
          FROM keys k WHERE k.key IS NOT NULL)
        SELECT coalesce(json_agg(key), '[]') FROM keys WHERE key IS NOT NULL),
       (WITH RECURSIVE groups(grp) AS (
          (SELECT d.grp FROM S.delivery d WHERE d.sub = l.sub AND d.gen = l.gen AND d.slot = l.slot AND d.state = 5
           ORDER BY d.grp LIMIT 1)
          UNION ALL
          SELECT (SELECT d.grp FROM S.delivery d WHERE d.sub = l.sub AND d.gen = l.gen AND d.slot = l.slot
                    AND d.state = 5 AND d.grp > g.grp ORDER BY d.grp LIMIT 1)
          FROM groups g WHERE g.grp IS NOT NULL)
        SELECT coalesce(json_agg(grp), '[]') FROM groups WHERE grp IS NOT NULL),
       (SELECT coalesce(json_agg(e.identity ORDER BY e.at_ms), '[]') FROM S.seen e
        WHERE e.sub = l.sub AND e.gen = l.gen AND e.slot = l.slot AND e.at_ms >= $4),
       (SELECT coalesce(json_agg(json_build_array(c.type, c.since)), '[]') FROM S.counted c
        WHERE c.sub = l.sub AND c.gen = l.gen),
       (SELECT coalesce(json_agg(e.position ORDER BY e.position), '[]') FROM S.settled e
        WHERE e.sub = l.sub AND e.gen = l.gen AND e.slot = l.slot AND e.position > l.low AND e.done AND NOT EXISTS(
          SELECT 1 FROM S.delivery d WHERE d.sub = e.sub AND d.gen = e.gen AND d.slot = e.slot
            AND d.position = e.position))
     FROM ${refs} WITH ORDINALITY AS r(sub, gen, slot, i)
     JOIN S.slot l ON l.sub = r.sub AND l.gen = r.gen AND l.slot = r.slot ORDER BY r.i`,
  ),
  one: store.sql(
    `SELECT ${columns} FROM S.delivery d ${withFailure} WHERE d.sub = $1 AND d.gen = $2 AND d.slot = $3 AND d.position = $4`,
  ),
  due: store.sql(
    `SELECT ${columns} FROM ${refs} AS r(sub, gen, slot) CROSS JOIN LATERAL (
       SELECT * FROM S.delivery o WHERE o.sub = r.sub AND o.gen = r.gen AND o.slot = r.slot AND o.due_ms IS NOT NULL
         AND o.due_ms <= $4 ORDER BY o.due_ms, o.position LIMIT $5) d ${withFailure}
     ORDER BY d.due_ms, d.sub, d.gen, d.slot, d.position LIMIT $5`,
  ),
  deferred: store.sql(
    `SELECT ${columns} FROM (SELECT * FROM S.delivery o WHERE o.sub = $1 AND o.gen = $2 AND o.state = 5 AND o.grp = $4
         AND o.slot = ANY($3::integer[]) ORDER BY o.position LIMIT $5) d ${withFailure} ORDER BY d.position`,
  ),
  failures: store.sql(
    "SELECT at_ms, class, fingerprint, error FROM S.failure WHERE sub = $1 AND gen = $2 AND slot = $3 AND position = $4 ORDER BY n",
  ),
  states: store.sql("SELECT key, value FROM S.state WHERE sub = $1 AND key = ANY($2::text[])"),
  outbox: store.sql("SELECT seq, event FROM S.emitted ORDER BY seq LIMIT $1"),
});

/** What the ledger answers without changing anything: one round trip each. */
export class Queries {
  readonly #store: Store;
  readonly #sql;

  constructor(store: Store) {
    this.#store = store;
    this.#sql = sqlOf(store);
  }

  async load(slots: readonly SlotRef[]): Promise<readonly SlotState[]> {
    const sinceMs = this.#store.env.now() - limits.dedupeWindowMs;
    const rows = await this.#query<SlotCells>("load", ...refColumns(slots), sinceMs);
    if (rows.length < slots.length) {
      throw notThere(`one of the slots ${slots.map(({ sub, slot }) => `${slot} of subscription ${sub}`).join(", ")}`);
    }
    return rows.map(([low, ranges, claim, suspect, busy, deferred, seen, since, settled], index): SlotState => {
      const { sub, gen, slot } = slots[index]!;
      const types = JSON.parse(since) as [string, string][];
      return {
        slot: { sub, gen, slot },
        low,
        ranges: decodeRanges(ranges, low),
        claim,
        suspect,
        since: new Map(types.map(([type, start]) => [type, decodeStart(start).get(slot) ?? 0])),
        busy: JSON.parse(busy) as string[],
        deferred: JSON.parse(deferred) as string[],
        seen: JSON.parse(seen) as string[],
        settled: JSON.parse(settled) as number[],
      };
    });
  }

  async deliveries(query: DeliveryQuery): Promise<readonly DeliveryRow[]> {
    switch (query.kind) {
      case "one":
        return (await this.#query<DeliveryCells>("one", ...refCells(query.delivery))).map(toRow);
      case "due": {
        const cells = [...refColumns(query.slots), query.dueMs, query.limit];
        return (await this.#query<DeliveryCells>("due", ...cells)).map(toRow);
      }
      case "deferred": {
        const [first] = query.slots;
        if (first === undefined) return [];
        const cells = [first.sub, first.gen, query.slots.map(({ slot }) => slot), query.group, query.limit];
        return (await this.#query<DeliveryCells>("deferred", ...cells)).map(toRow);
      }
      case "state":
        return (await this.#inState(query)).map(toRow);
    }
  }

  async failures(delivery: DeliveryRef): Promise<readonly FailureRecord[]> {
    return (await this.#query<FailureCells>("failures", ...refCells(delivery))).map(toFailure);
  }

  async states(sub: number, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const values = new Map(await this.#query<[string, string]>("states", sub, keys));
    return keys.map((key) => values.get(key));
  }

  async outbox(limit: number): Promise<readonly OutboxRow[]> {
    const rows = await this.#query<[number, string]>("outbox", limit);
    return rows.map(([seq, event]) => ({ seq, event: toEncoded(JSON.parse(event) as EncodedEvent) }));
  }

  #inState({
    state,
    sub,
    key,
    correlationId,
    after,
    limit,
  }: DeliveryQuery & { kind: "state" }): Promise<DeliveryCells[]> {
    const conditions = [`d.state = ${stateNumber[state]}`];
    const values: unknown[] = [];
    const add = (condition: (...places: string[]) => string, ...cells: unknown[]): void => {
      conditions.push(condition(...cells.map((_, i) => `$${values.length + 1 + i}`)));
      values.push(...cells);
    };
    if (sub !== undefined) add((at) => `d.sub = ${at}`, sub);
    if (key !== undefined) add((at) => `d.key = ${at}`, key);
    if (correlationId !== undefined) add((at) => `d.correlation_id = ${at}`, correlationId);
    if (after !== undefined) {
      add((...at) => `(d.sub, d.gen, d.slot, d.position) > (${at.join(", ")})`, ...refCells(after));
    }
    const text = `SELECT ${columns} FROM S.delivery d ${withFailure} WHERE ${conditions.join(" AND ")}
      ORDER BY d.sub, d.gen, d.slot, d.position LIMIT $${values.length + 1}`;
    return this.#store.read((run: Run) => run<DeliveryCells>(this.#store.sql(text), [...values, limit]));
  }

  #query<Row extends readonly unknown[]>(
    name: keyof ReturnType<typeof sqlOf>,
    ...values: readonly unknown[]
  ): Promise<Row[]> {
    return this.#store.read((run) => run<Row>(this.#sql[name], values, `ledger-${name}`));
  }
}

const refCells = (ref: DeliveryRef): [number, number, number, number] => [ref.sub, ref.gen, ref.slot, ref.position];
const refColumns = (slots: readonly SlotRef[]): [number[], number[], number[]] => [
  slots.map(({ sub }) => sub),
  slots.map(({ gen }) => gen),
  slots.map(({ slot }) => slot),
];

/** JSON leaves out what is undefined. */
const toEncoded = (event: EncodedEvent): EncodedEvent => ({ ...event, key: event.key, group: event.group });

function toRow(cells: DeliveryCells): DeliveryRow {
  const [sub, gen, slot, position, eventSlot, key, holds, state, dueMs, rowToken, session, scope, failures] = cells;
  const [, , , , , , , , , , , , , crashes, redriven, eventId, correlationId, atMs, event, waits] = cells;
  const failure = cells.slice(20) as unknown as FailureCells | readonly [null];
  return {
    sub,
    gen,
    slot,
    position,
    eventSlot,
    key,
    holds,
    state: rowStates[state]!,
    dueMs: dueMs ?? undefined,
    rowToken,
    session: session ?? undefined,
    scope,
    failures,
    crashes,
    redriven,
    waits,
    eventId,
    correlationId,
    atMs,
    failure: failure[0] === null ? undefined : toFailure(failure as FailureCells),
    event: event === null ? undefined : (JSON.parse(event) as StoredEvent),
  };
}

function toFailure([atMs, kind, fingerprint, error]: FailureCells): FailureRecord {
  return { atMs, class: kind, fingerprint, error };
}
