import type { Receipt } from "../app/context.ts";
import type { Engine } from "../engine/engine.ts";
import type { EventRef } from "../engine/event-log.ts";
import type { SlotRef, SlotState } from "../engine/ledger.ts";
import type { Generation } from "../engine/projections.ts";
import { pause, type Env } from "../env.ts";
import { FactlogError, hasCode } from "../errors.ts";
import { parsePosition, type Position } from "../event/position.ts";
import { limits } from "../limits.ts";
import { correlationIdOf } from "./correlation.ts";
import { deadLetterId } from "./dead-letter-id.ts";

type Awaited = Pick<Receipt, "id" | "correlationId" | "position"> | Position;

/** Resolves when the live generation of a projection has applied the event, and so the views show it. */
export async function caughtUp(
  env: Env,
  engine: Engine,
  name: string,
  awaited: Awaited,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const untilMs = env.monotonic() + timeoutMs;
  let waitMs: number = limits.caughtUpFirstMs;
  let place = placeOf(engine, awaited);
  await liveOf(engine, name);
  for (;;) {
    place ??= await placeById(engine, awaited as Exclude<Awaited, string>);
    if (place !== undefined && (await hasApplied(engine, name, place))) return;
    signal?.throwIfAborted();
    const leftMs = untilMs - env.monotonic();
    if (leftMs <= 0) throw timeout(name, timeoutMs, place === undefined);
    await pause(env, Math.min(waitMs, leftMs), signal);
    waitMs = Math.min(2 * waitMs, limits.caughtUpMaxMs);
  }
}

function placeOf({ log }: Engine, awaited: Awaited): EventRef | undefined {
  const position = typeof awaited === "string" ? awaited : awaited.position;
  return position === undefined ? undefined : parsePosition(position, log.epoch);
}

/** Of an event that was published without a place: in a transaction of the user's, or for later. */
async function placeById(
  { log }: Engine,
  { id, correlationId }: Exclude<Awaited, string>,
): Promise<EventRef | undefined> {
  if (log.locate === undefined) {
    throw new FactlogError("NOT_SUPPORTED", "this log finds no event by its id: give caughtUp a position.");
  }
  const places = await log.locate(id);
  if (places.length < 2) return places[0];
  // Of several sources: the one of this correlation, which may be still to come.
  const events = await log.fetch(places);
  return places.find((_, index) => events[index] !== undefined && correlationIdOf(events[index]) === correlationId);
}

async function liveOf({ ledger }: Pick<Engine, "ledger">, name: string): Promise<Generation> {
  const live = (await ledger.projections()).find((one) => one.name === name && one.live);
  if (live !== undefined) return live;
  throw new FactlogError(
    "NOT_FOUND",
    `there is no projection ${name} yet: a worker of its app makes it when it starts.`,
  );
}

async function hasApplied({ ledger, log }: Engine, name: string, { slot, position }: EventRef): Promise<boolean> {
  const { sub, gen } = await liveOf({ ledger }, name);
  for (const number of log.capabilities.totalOrder ? [slot, 0] : [slot]) {
    const ref = { sub, gen, slot: number };
    const state = await stateOf(ledger.load([ref]));
    if (state !== undefined)
      return isBehind(state, position) && !(await hasRow({ ledger }, name, { ...ref, position }));
  }
  return false;
}

/** Undefined where the projection has one slot for all, or was just changed over. */
async function stateOf(loading: Promise<readonly SlotState[]>): Promise<SlotState | undefined> {
  try {
    return (await loading)[0];
  } catch (error) {
    if (hasCode(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

const isBehind = ({ low, ranges, settled }: SlotState, position: number): boolean =>
  position <= low || ranges.some(([from, to]) => from <= position && position <= to) || settled.includes(position);

async function hasRow(
  { ledger }: Pick<Engine, "ledger">,
  name: string,
  delivery: SlotRef & { readonly position: number },
): Promise<boolean> {
  const [row] = await ledger.deliveries({ kind: "one", delivery });
  if (row?.state !== "dead") return row !== undefined;
  const letter = deadLetterId(name, row);
  throw new FactlogError("DELIVERY_DEAD", `${name} has stopped at this event: look at its dead letter ${letter}.`, {
    details: { deadLetter: letter },
  });
}

function timeout(name: string, timeoutMs: number, unknown: boolean): FactlogError {
  const why = unknown ? "the event is not in the log yet" : "is a worker of it running, and has it stopped?";
  return new FactlogError("TIMEOUT", `${name} has not applied the event within ${timeoutMs} ms (${why}).`, {
    details: { projection: name },
  });
}
