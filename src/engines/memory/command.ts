import { FactlogError } from "../../errors.ts";
import type { Command, CommandResult, Definition } from "../../engine/ledger.ts";
import type { Slot, StoredEvent } from "../../event/stored-event.ts";
import { emit, requireEmittable, type Context } from "./facts.ts";
import { enactAnswer, planAnswer, dropStep } from "./journal.ts";
import { closeRow } from "./record.ts";
import {
  freeSlot,
  makeReady,
  newestOf,
  notThere,
  slotRowOf,
  type Row,
  type SlotRow,
  type Store,
  type Subscription,
} from "./store.ts";

type Named<Kind extends Command["kind"]> = Extract<Command, { kind: Kind }>;

/** Acts from outside: refused as a whole, or done together with its audit event. */
export function command(context: Context, request: Command): CommandResult {
  if (request.kind === "define") return define(context.store, request);
  const { subscription, act } = plan(context.store, request);
  requireEmittable(context, [request.audit]);
  act();
  emit(context, [request.audit]);
  return resultOf(subscription);
}

/** What an operator's command would do; throws where it may not. */
function plan(
  store: Store,
  request: Exclude<Command, { kind: "define" }>,
): { subscription: Subscription; act: () => unknown } {
  switch (request.kind) {
    case "retire": {
      const subscription = named(store, request.name);
      const served = [...store.sessions.values()].some(({ serves }) =>
        serves.some(({ sub }) => sub === subscription.sub),
      );
      if (served) throw conflict(`a worker serves ${request.name}: stop it, then retire.`);
      const act = (): void => {
        store.subscriptions.delete(subscription.sub);
        for (const [key, step] of store.steps) if (step.sub === subscription.sub) store.steps.delete(key);
      };
      return { subscription, act };
    }
    case "rename": {
      const subscription = named(store, request.name);
      if (find(store, request.to) !== undefined) throw conflict(`there is a subscription ${request.to} already.`);
      return { subscription, act: () => (subscription.name = request.to) };
    }
    case "redrive": {
      const { subscription, row } = deadRow(store, request);
      const drop = (): void => {
        for (const name of request.drop ?? []) dropStep(store, request.delivery, row.scope, name);
      };
      return { subscription, act: () => (drop(), redrive(row, request)) };
    }
    case "discard": {
      const { subscription, slot, row } = deadRow(store, request);
      return { subscription, act: () => closeRow(slot, row, "discarded") };
    }
    case "answer": {
      const found = planAnswer(store, request);
      const subscription = store.subscriptions.get(request.delivery.sub)!;
      return { subscription, act: () => enactAnswer(found, request.value, request.nowMs) };
    }
  }
}

function redrive(row: Row, { nowMs, fresh }: Named<"redrive">): void {
  makeReady(row, nowMs);
  if (fresh === true) row.scope++;
  Object.assign(row, { failures: 0, crashes: 0, redriven: true, stop: false });
}

function deadRow(
  store: Store,
  request: Named<"redrive" | "discard">,
): { subscription: Subscription; slot: SlotRow; row: Row } {
  const slot = slotRowOf(store, request.delivery);
  const row = slot?.rows.get(request.delivery.position);
  if (slot === undefined || row === undefined) throw notThere("this delivery");
  if (row.state !== "dead" || row.rowToken !== request.rowToken) {
    throw conflict("this delivery has moved on since you looked: look again.");
  }
  return { subscription: store.subscriptions.get(slot.sub)!, slot, row };
}

function define(store: Store, request: Named<"define">): CommandResult {
  const { definition } = request;
  const known = request.sub === undefined ? find(store, request.name) : store.subscriptions.get(request.sub);
  if (known === undefined && request.sub !== undefined) throw notThere(`the subscription ${request.name}`);
  if (known === undefined) return resultOf(create(store, request), { created: true });
  if (newestOf(known).slots !== definition.slots) {
    throw conflict(`${request.name} was created with slots ${newestOf(known).slots}: retire it, or take another name.`);
  }
  const older = known.revisions.findIndex((other) => sameDefinition(other, definition)) + 1;
  const revision = older > 0 ? older : known.revisions.push(definition);
  if (older === 0 || (older !== known.newest && request.reinstate === true)) renew(store, known, revision, request);
  return resultOf(known, { revision });
}

function create(store: Store, request: Named<"define">): Subscription {
  const { name, definition, start, baseline } = request;
  const sub = ++store.last.sub;
  const types = definition.types.map(
    (type) => [type, { since: start, baseline: baseline.get(type) ?? 0, matched: 0 }] as const,
  );
  const slots = Array.from({ length: definition.slots === "one" ? 1 : store.slots }, (_, slot) =>
    createSlot(sub, slot, start.get(slot) ?? 0),
  );
  const subscription: Subscription = {
    sub,
    gen: 1,
    name,
    revisions: [definition],
    newest: 1,
    types: new Map(types),
    slots: new Map(slots.map((row) => [row.slot, row])),
    states: new Map(),
  };
  store.subscriptions.set(sub, subscription);
  return subscription;
}

function createSlot(sub: number, slot: Slot, low: number): SlotRow {
  return {
    sub,
    gen: 1,
    slot,
    token: 0,
    session: undefined,
    low,
    ranges: [],
    claim: low,
    suspect: 0,
    matched: 0,
    outcomes: { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 },
    rows: new Map(),
    seen: new Map(),
    settled: new Set(),
  };
}

/** Makes a revision the newest. Types it adds count from `start`; what they matched earlier stays conserved. */
function renew(store: Store, subscription: Subscription, revision: number, { start, baseline }: Named<"define">): void {
  const before = new Set(newestOf(subscription).types);
  subscription.newest = revision;
  const added = newestOf(subscription).types.filter((type) => !before.has(type));
  const since = notBehind(subscription, start);
  for (const type of added) {
    const matched = subscription.types.get(type)?.matched ?? 0;
    const passed = passedOver(store, subscription, type, start, since);
    subscription.types.set(type, { since, baseline: (baseline.get(type) ?? 0) + passed - matched, matched });
  }
  if (added.length > 0) for (const slot of subscription.slots.values()) freeSlot(slot);
}

/** `start`, but where workers of the older revision have come further: they passed over the added types there. */
function notBehind(subscription: Subscription, start: Named<"define">["start"]): ReadonlyMap<Slot, number> {
  const since = new Map(start);
  for (const { slot, low, ranges } of subscription.slots.values()) {
    const reached = Math.max(low, ranges.at(-1)?.[1] ?? 0);
    if (reached > (start.get(slot) ?? 0)) since.set(slot, reached);
  }
  return since;
}

/** Events of a type between `start` and `since`, where the log is here. */
function passedOver(
  store: Store,
  { slots }: Subscription,
  type: string,
  start: ReadonlyMap<Slot, number>,
  since: ReadonlyMap<Slot, number>,
): number {
  const of = (event: StoredEvent): Slot => (slots.size === 1 ? 0 : event.slot);
  const isPassed = (event: StoredEvent): boolean =>
    event.position > (start.get(of(event)) ?? 0) && event.position <= (since.get(of(event)) ?? 0);
  return store.events.filter((event) => event.type === type && isPassed(event)).length;
}

function sameDefinition(a: Definition, b: Definition): boolean {
  const plain = ({ types, order, onExhausted, crashesMax, slots }: Definition): string =>
    JSON.stringify([[...types].toSorted(), order, onExhausted, String(crashesMax), slots]);
  return plain(a) === plain(b);
}

const find = (store: Store, name: string): Subscription | undefined =>
  [...store.subscriptions.values()].find((subscription) => subscription.name === name);

function named(store: Store, name: string): Subscription {
  const subscription = find(store, name);
  if (subscription === undefined) throw notThere(`the subscription ${name}`);
  return subscription;
}

function resultOf(subscription: Subscription, more: { created?: boolean; revision?: number } = {}): CommandResult {
  const { sub, gen, newest, types } = subscription;
  return {
    sub,
    gen,
    revision: more.revision ?? newest,
    newest,
    created: more.created ?? false,
    since: new Map([...types].map(([type, { since }]) => [type, since])),
  };
}

function conflict(message: string): FactlogError {
  return new FactlogError("CONFLICT", message);
}
