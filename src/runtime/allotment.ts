/** How much may be: places at one time, and starts in a time. */
export interface Limit {
  readonly concurrency: number | undefined;
  readonly rate: { readonly events: number; readonly perMs: number } | undefined;
}

/** What the processes have of one limit: an entry of the register. */
export interface Allotment {
  readonly limit: Limit;
  /** Places by session. */
  readonly held: Readonly<Record<string, number>>;
  /** Sessions that want places which are not free, first come first; and how many. */
  readonly queue: readonly (readonly [session: number, places: number])[];
  /** Of the rate: when all that was drawn would be used up, had it been drawn evenly. Wall clock. */
  readonly fullMs: number;
}

export interface Ask {
  readonly session: number;
  /** Places that go back. */
  readonly give: number;
  /** Places and starts wanted beside what it has. */
  readonly places: number;
  readonly starts: number;
  readonly nowMs: number;
  isGone(session: number): boolean;
}
export interface Answer {
  /** Undefined: nothing is left to remember. */
  readonly next: Allotment | undefined;
  /** All places that it holds now. */
  readonly held: number;
  readonly starts: number;
  /** Where starts were refused: when the next may be had. */
  readonly nextMs: number | undefined;
  /** Others wait for places. */
  readonly contested: boolean;
  /** Sessions that hold places or wait for some, this one among them. */
  readonly parties: number;
}

/** One process gives and takes. Pure. */
export function allot(limit: Limit, kept: Allotment | undefined, ask: Ask): Answer {
  const held = new Map<number, number>();
  for (const [session, places] of Object.entries(kept?.held ?? {}))
    if (!ask.isGone(Number(session))) held.set(Number(session), places);
  const mine = Math.max(0, (held.get(ask.session) ?? 0) - ask.give);
  held.delete(ask.session);
  const others = (kept?.queue ?? []).filter(([session]) => session !== ask.session && !ask.isGone(session));
  const { granted, queue } = places(limit, kept, { ask, mine, held, others });
  const { starts, fullMs, nextMs } = drawn(limit.rate, kept?.fullMs ?? 0, ask.starts, ask.nowMs);
  if (mine + granted > 0) held.set(ask.session, mine + granted);
  const isNothing = held.size === 0 && queue.length === 0 && fullMs <= ask.nowMs;
  return {
    next: isNothing ? undefined : { limit, held: Object.fromEntries(held), queue, fullMs },
    held: mine + granted,
    starts,
    nextMs,
    contested: others.length > 0,
    parties: new Set([ask.session, ...held.keys(), ...others.map(([session]) => session)]).size,
  };
}

interface Places {
  readonly ask: Ask;
  readonly mine: number;
  readonly held: ReadonlyMap<number, number>;
  readonly others: Allotment["queue"];
}
function places(
  { concurrency }: Limit,
  kept: Allotment | undefined,
  { ask, mine, held, others }: Places,
): { readonly granted: number; readonly queue: Allotment["queue"] } {
  if (concurrency === undefined) return { granted: 0, queue: [] };
  const taken = [...held.values()].reduce((sum, each) => sum + each, mine);
  const place = (kept?.queue ?? []).findIndex(([session]) => session === ask.session);
  const before = place < 0 ? others : kept!.queue.slice(0, place).filter((one) => others.includes(one));
  const promised = before.reduce((sum, [, wanted]) => sum + wanted, 0);
  const granted = Math.max(0, Math.min(ask.places, concurrency - taken - promised));
  const wanted = ask.places - granted;
  if (wanted === 0) return { granted, queue: others };
  return { granted, queue: [...before, [ask.session, wanted], ...others.slice(before.length)] };
}

/** Of so many events some may start at once; the others follow evenly, so that no time of that length sees more. */
const burstOf = (events: number): number => Math.max(1, Math.floor(events / burstShare));
const burstShare = 10;

function drawn(
  rate: Limit["rate"],
  keptMs: number,
  wanted: number,
  nowMs: number,
): { readonly starts: number; readonly fullMs: number; readonly nextMs: number | undefined } {
  if (rate === undefined) return { starts: wanted, fullMs: 0, nextMs: undefined };
  const burst = burstOf(rate.events);
  const everyMs = rate.perMs / (rate.events - burst + 1);
  const roomMs = (burst - 1) * everyMs;
  // More cannot have been drawn: a clock has jumped.
  const fullMs = Math.min(Math.max(keptMs, nowMs), nowMs + roomMs + everyMs);
  const free = fullMs - nowMs > roomMs ? 0 : Math.floor((nowMs + roomMs - fullMs) / everyMs) + 1;
  const starts = Math.min(wanted, free);
  const afterMs = fullMs + starts * everyMs;
  return { starts, fullMs: afterMs, nextMs: starts < wanted ? afterMs - roomMs : undefined };
}

/** When the next event may start by the rate; undefined: now. */
export function rateWaitsUntil({ limit: { rate }, fullMs }: Allotment, nowMs: number): number | undefined {
  return rate === undefined ? undefined : drawn(rate, fullMs, 1, nowMs).nextMs;
}
