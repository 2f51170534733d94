import type { History, Publish, StoredFact, Violation } from "./history.ts";

/** I1 to I4 and I16: what was acknowledged is there, what is there was stated, and readers miss nothing of it. */
export function checkFacts(history: History): readonly Violation[] {
  return [
    ...acknowledged(history),
    ...phantoms(history),
    ...duplicates(history),
    ...batches(history),
    ...polls(history),
    ...followers(history),
  ];
}

const placeOf = (slot: number, position: number): string => `${slot}.${position}`;
const statedTypes = new Set(["Fact", "Loose"]);

function publishes(history: History): readonly Publish[] {
  return history.ops.filter((op): op is Publish => op.op === "publish");
}
function byId(events: readonly StoredFact[]): ReadonlyMap<string, readonly StoredFact[]> {
  const found = new Map<string, StoredFact[]>();
  for (const event of events) {
    const known = found.get(event.id);
    if (known === undefined) found.set(event.id, [event]);
    else known.push(event);
  }
  return found;
}

/** I1: durable ack, at the place that was told. */
function acknowledged(history: History): Violation[] {
  const stored = byId(history.final.events);
  const found: Violation[] = [];
  const lost = (detail: string): void => void found.push({ invariant: "I1", anomaly: "lost-write", detail });
  for (const op of publishes(history)) {
    for (const [i, event] of op.events.entries()) {
      const there = stored.get(event.id) ?? [];
      if (op.outcome === "ok") {
        const receipt = op.receipts?.[i];
        const at = there.find((each) => each.position === receipt?.position);
        if (at === undefined) lost(`${event.id} was acknowledged at ${receipt?.position} and is not there`);
        else if (at.data !== event.data) lost(`${event.id} was acknowledged with ${event.data}, stored is ${at.data}`);
      }
    }
    if (op.code === "ID_CONFLICT" && !op.events.some((event) => contradicts(event, op, stored))) {
      found.push({ invariant: "I1", anomaly: "spurious-conflict", detail: op.events.map(({ id }) => id).join() });
    }
  }
  return found;
}
function contradicts(
  event: Publish["events"][number],
  op: Publish,
  stored: ReadonlyMap<string, readonly StoredFact[]>,
): boolean {
  const twice = op.events.some((other) => other.id === event.id && other.data !== event.data);
  return twice || (stored.get(event.id) ?? []).some((each) => each.data !== event.data);
}

/** I2: nothing is there that nobody stated, or whose statement was refused. */
function phantoms(history: History): Violation[] {
  const found: Violation[] = [];
  const stated = new Map<string, "ok" | "fail">();
  for (const op of publishes(history)) {
    for (const { id, data } of op.events) {
      const name = `${id}\n${data}`;
      if (op.outcome !== "fail") stated.set(name, "ok");
      else if (!stated.has(name)) stated.set(name, "fail");
    }
  }
  for (const event of history.final.events) {
    if (!statedTypes.has(event.type)) continue;
    const outcome = stated.get(`${event.id}\n${event.data}`);
    if (outcome === "ok") continue;
    const anomaly = outcome === "fail" ? "aborted-read" : "phantom";
    found.push({ invariant: "I2", anomaly, detail: `${event.type} ${event.id} at ${event.position}: ${event.data}` });
  }
  return found;
}

function duplicates(history: History): Violation[] {
  if (!history.dedupes) return [];
  const found: Violation[] = [];
  for (const [id, events] of byId(history.final.events)) {
    if (events.length === 1) continue;
    const places = events.map((event) => event.position).join();
    found.push({ invariant: "I2", anomaly: "duplicate", detail: `${id} stands at ${places}` });
  }
  const firsts = new Set<number>();
  for (const op of publishes(history)) {
    for (const { position, duplicate } of op.receipts ?? []) {
      if (duplicate) continue;
      if (firsts.has(position)) {
        found.push({ invariant: "I2", anomaly: "duplicate", detail: `${position} was told to be new twice` });
      }
      firsts.add(position);
    }
  }
  return found;
}

/** A batch is all or nothing, in order. */
function batches(history: History): Violation[] {
  const found: Violation[] = [];
  const stored = byId(history.final.events);
  const uses = new Map<string, number>();
  for (const op of publishes(history)) for (const { id } of op.events) uses.set(id, (uses.get(id) ?? 0) + 1);
  for (const op of publishes(history)) {
    const own = op.events.filter(({ id }) => uses.get(id) === 1);
    const there = own.filter(({ id }) => stored.has(id));
    if (there.length > 0 && there.length < own.length) {
      const detail = `${there.length} of ${own.length} events of one batch are there (${op.outcome})`;
      found.push({ invariant: "I2", anomaly: "half-batch", detail });
    }
    if (!history.totalOrder) continue;
    const positions = there.map(({ id }) => stored.get(id)?.[0]?.position ?? 0);
    if (positions.some((position, i) => i > 0 && position <= (positions[i - 1] ?? 0))) {
      found.push({ invariant: "I2", anomaly: "int-send-skip", detail: `a batch lies at ${positions.join()}` });
    }
  }
  return found;
}

/** I3: a place never changes. I4: what lies within a page's stretch is on the page. */
function polls(history: History): Violation[] {
  const found: Violation[] = [];
  const contents = new Map<string, string>();
  const slots = new Map<number, StoredFact[]>();
  for (const event of history.final.events) {
    contents.set(placeOf(event.slot, event.position), event.content);
    const slot = slots.get(event.slot);
    if (slot === undefined) slots.set(event.slot, [event]);
    else slot.push(event);
  }
  for (const slot of slots.values()) slot.sort((a, b) => a.position - b.position);
  for (const op of history.ops) {
    if (op.op !== "poll") continue;
    const seen = new Set<string>();
    const last = new Map<number, number>();
    for (const [slot, position, content] of op.events) {
      const place = placeOf(slot, position);
      const stored = contents.get(place);
      if (stored === undefined) {
        found.push({ invariant: "I3", anomaly: "precommitted-read", detail: `${op.process} read ${place}: not there` });
      } else if (stored !== content) {
        found.push({
          invariant: "I3",
          anomaly: "inconsistent-offsets",
          detail: `${place} was read with other content`,
        });
      }
      if (position <= (last.get(slot) ?? 0)) {
        found.push({ invariant: "I4", anomaly: "int-nonmonotonic-poll", detail: `${op.process} read ${place} late` });
      }
      last.set(slot, position);
      seen.add(place);
    }
    for (const span of op.spans) found.push(...missed(op.types, span, slots.get(span[0]) ?? [], seen, op.process));
  }
  return found;
}
function missed(
  types: readonly string[] | undefined,
  [slot, after, to]: readonly [number, number, number],
  events: readonly StoredFact[],
  seen: ReadonlySet<string>,
  process: string,
): Violation[] {
  const found: Violation[] = [];
  for (let i = firstAfter(events, after); i < events.length; i++) {
    const event = events[i] as StoredFact;
    if (event.position > to) break;
    if (types !== undefined && !types.includes(event.type)) continue;
    if (seen.has(placeOf(slot, event.position))) continue;
    const detail = `${process} read slot ${slot} from ${after} to ${to} without ${event.position}`;
    found.push({ invariant: "I4", anomaly: "int-poll-skip", detail });
  }
  return found;
}
function firstAfter(events: readonly StoredFact[], position: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle] as StoredFact).position > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** I16: a live reader sees every fact once, in order, and goes on without gap or repeat. */
function followers(history: History): Violation[] {
  const found: Violation[] = [];
  const positions = history.final.events.map((event) => event.position).toSorted((a, b) => a - b);
  for (const op of history.ops) {
    if (op.op !== "follow" || op.positions.length === 0) continue;
    const last = op.positions.at(-1) ?? 0;
    const expected = positions.filter((position) => position > op.after && position <= last);
    if (expected.join() === op.positions.join()) continue;
    const wrong = op.positions.findIndex((position, i) => position !== expected[i]);
    const detail = `${op.process} was shown ${op.positions[wrong]} where ${expected[wrong]} was next (after ${op.after})`;
    found.push({ invariant: "I16", anomaly: "poll-skip", detail });
  }
  return found;
}
