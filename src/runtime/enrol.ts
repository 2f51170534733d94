import type { SubscriptionSpec } from "../app/subscription.ts";
import type { EventLog, HeadCount } from "../engine/event-log.ts";
import type { Command, CommandResult, Definition, Ledger } from "../engine/ledger.ts";
import { FactlogError } from "../errors.ts";
import { parsePosition } from "../event/position.ts";
import type { PositionNumber, Slot } from "../event/stored-event.ts";
import { limits } from "../limits.ts";

type Start = Pick<Extract<Command, { kind: "define" }>, "start" | "baseline">;

export function definitionOfSpec(spec: SubscriptionSpec): Definition {
  return {
    types: spec.on.map((event) => event.type).sort(),
    order: spec.order,
    onExhausted: spec.onExhausted,
    crashesMax: Number.isFinite(spec.retry.crashesMax) ? spec.retry.crashesMax : Number.MAX_SAFE_INTEGER,
    slots: spec.order === "log" ? "one" : "all",
  };
}

/**
 * Finds the subscription in the ledger (by `sub`, where that is given) or creates it where its `from` says. Throws
 * FROM_REQUIRED where it is new, the log has matching history, and nobody has said where to start; NOT_SUPPORTED for order "log" without a total order.
 */
export async function enrol(
  log: EventLog,
  ledger: Ledger,
  spec: SubscriptionSpec,
  { reinstate, sub }: { readonly reinstate?: true; readonly sub?: number } = {},
): Promise<CommandResult> {
  requireOrder(log, spec);
  const definition = definitionOfSpec(spec);
  const known = sub !== undefined || (await ledger.tally()).some((each) => each.name === spec.name);
  // Which types are added the ledger knows when it gets there: a place is named for each, in case it is one.
  const start = known ? await head(log, definition.types) : await startOfNew(log, spec, definition.types);
  return ledger.command({
    kind: "define",
    name: spec.name,
    definition,
    ...start,
    ...(reinstate === undefined ? {} : { reinstate }),
    ...(sub === undefined ? {} : { sub }),
  });
}

export function requireOrder(log: EventLog, spec: SubscriptionSpec): void {
  if (spec.order !== "log" || log.capabilities.totalOrder) return;
  throw new FactlogError(
    "NOT_SUPPORTED",
    `${spec.name}: order "log" needs a log with one total order, which this one has not: choose order "key".`,
  );
}

async function head(log: EventLog, types: readonly string[]): Promise<Start> {
  const { heads, appended } = await log.count(types);
  return { start: heads, baseline: appended };
}

/** Where a new subscription starts, and how many events of each type lie before that. */
export async function startOfNew(
  log: EventLog,
  spec: Pick<SubscriptionSpec, "name" | "from">,
  types: readonly string[],
): Promise<Start> {
  const count = await log.count(types);
  const history = [...count.appended.values()].reduce((sum, each) => sum + each, 0);
  if (spec.from === undefined && history > 0) throw fromRequired(spec.name, history);
  if (spec.from === undefined || spec.from === "beginning") return { start: new Map(), baseline: new Map() };
  if (spec.from === "now") return { start: count.heads, baseline: count.appended };
  const start =
    spec.from instanceof Date ? await placeOfTime(log, spec.from.getTime(), count) : placeOfPosition(log, spec.from);
  return { start, baseline: await countUpTo(log, start, types, count) };
}

function fromRequired(name: string, history: number): FactlogError {
  return new FactlogError(
    "FROM_REQUIRED",
    `${name} is new, and the log holds ${history} matching events. Say where it starts: from: "beginning" (all of them), "now" (only later ones), a Date or a position; or create it with \`factlog subscription create ${name} --from ...\`.`,
    { details: { subscription: name, history } },
  );
}

function placeOfPosition(log: EventLog, token: string): ReadonlyMap<Slot, PositionNumber> {
  const { slot, position } = parsePosition(token, log.epoch);
  if (!log.capabilities.totalOrder) return new Map([[slot, position]]);
  return new Map(Array.from({ length: log.capabilities.slots }, (_, each) => [each, position]));
}

/** The last positions recorded before this time. Reads the log up to it. */
async function placeOfTime(
  log: EventLog,
  timeMs: number,
  count: HeadCount,
): Promise<ReadonlyMap<Slot, PositionNumber>> {
  const start = new Map<Slot, PositionNumber>([...count.heads.keys()].map((slot) => [slot, 0]));
  const open = new Map(start);
  while (open.size > 0) {
    const page = await log.read({ after: open, limit: limits.pageEvents, scanMax: limits.scanMax });
    const passed = new Set<Slot>();
    for (const event of page.events) {
      if (passed.has(event.slot)) continue;
      if (event.recordedMs < timeMs) start.set(event.slot, event.position);
      else passed.add(event.slot);
    }
    if (page.atHead || (log.capabilities.totalOrder && passed.size > 0)) break;
    for (const [slot, to] of page.scannedTo) {
      if (passed.has(slot)) open.delete(slot);
      else open.set(slot, to);
    }
  }
  if (!log.capabilities.totalOrder) return start;
  const last = Math.max(0, ...start.values());
  return new Map([...start.keys()].map((slot) => [slot, last]));
}

/** Events of each type at or before `start`: what was ever appended, less what is read after it. */
async function countUpTo(
  log: EventLog,
  start: ReadonlyMap<Slot, PositionNumber>,
  types: readonly string[],
  count: HeadCount,
): Promise<ReadonlyMap<string, number>> {
  const baseline = new Map(count.appended);
  const after = new Map<Slot, PositionNumber>([...count.heads.keys()].map((slot) => [slot, start.get(slot) ?? 0]));
  for (;;) {
    const page = await log.read({ after, types: new Set(types), limit: limits.pageEvents, scanMax: limits.scanMax });
    for (const event of page.events) {
      if (event.position <= (count.heads.get(event.slot) ?? 0))
        baseline.set(event.type, (baseline.get(event.type) ?? 0) - 1);
    }
    for (const [slot, to] of page.scannedTo) after.set(slot, to);
    if (page.atHead || [...after].every(([slot, to]) => to >= (count.heads.get(slot) ?? 0))) return baseline;
  }
}
