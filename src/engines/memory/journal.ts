import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Signal, StepChange, StepRecord, WaitKind, WaitRecord } from "../../engine/journal.ts";
import type { DeliveryRef } from "../../engine/ledger.ts";
import { makeReady, notThere, slotRowOf, type Row, type Step, type Store } from "./store.ts";

type Place = Pick<DeliveryRef, "sub" | "slot" | "position">;

const stepKey = ({ sub, slot, position }: Place, scope: number, name: string): string =>
  JSON.stringify([sub, slot, position, scope, name]);

/** Moves a step on. Gives the value that stood there, where it was done already. */
export function moveStep(store: Store, row: Row, { name, to, atMs }: StepChange): string | undefined {
  const key = stepKey(row, row.scope, name);
  const known = store.steps.get(key);
  if (known?.state === "done") return known.value;
  if (to.state === "dropped") return void store.steps.delete(key);
  const { sub, slot, position, scope } = row;
  const fresh = { state: to.state, version: "", attempts: 0, value: undefined, bytes: 0, usage: undefined } as const;
  const step: Step = known ?? { sub, slot, position, scope, name, atMs, ...fresh, wait: undefined, found: [] };
  store.steps.set(key, step);
  Object.assign(step, { atMs, wait: undefined }, to);
  if (to.state === "done") step.bytes = Buffer.byteLength(to.value);
  return undefined;
}

/** Forgets a step, whatever its state. */
export const dropStep = (store: Store, delivery: DeliveryRef, scope: number, name: string): void =>
  void store.steps.delete(stepKey(delivery, scope, name));

export function stepsOf(store: Store, delivery: DeliveryRef, scope: number): StepRecord[] {
  const mine = [...store.steps.values()].filter((step) => isOf(step, delivery) && step.scope === scope);
  return mine.map(view).toSorted((a, b) => compare(a.name, b.name));
}

export const stepValue = (store: Store, delivery: DeliveryRef, scope: number, name: string): string | undefined =>
  store.steps.get(stepKey(delivery, scope, name))?.value;

export function awaited(store: Store): string[] {
  const waiting = [...store.steps.values()].filter(
    (step) => step.state === "waiting" && rowOf(store, step) !== undefined,
  );
  return [...new Set(waiting.flatMap(({ wait }) => wait?.types ?? []))];
}

export function signal(store: Store, { type, key, position }: Signal): number {
  const waiting = [...store.steps.values()].filter(
    ({ state, wait }) =>
      state === "waiting" && wait?.types.includes(type) === true && wait.key === key && wait.after < position,
  );
  let woken = 0;
  for (const step of waiting) {
    const row = rowOf(store, step);
    if (row === undefined) continue;
    const found = new Set([...step.found, position]);
    step.found = [...found].toSorted((a, b) => a - b).slice(0, limits.foundMax);
    wake(row);
    woken++;
  }
  return woken;
}

/** The answer to an approval. */
export function planAnswer(
  store: Store,
  answer: { readonly delivery: DeliveryRef; readonly scope: number; readonly step: string },
): { readonly row: Row; readonly step: Step } {
  const step = store.steps.get(stepKey(answer.delivery, answer.scope, answer.step));
  const row = slotRowOf(store, answer.delivery)?.rows.get(answer.delivery.position);
  if (step === undefined) throw notThere(`the approval ${answer.step}`);
  if (step.state !== "waiting" || step.wait?.kind !== "approval" || row === undefined || row.scope !== answer.scope) {
    throw new FactlogError("CONFLICT", `${answer.step} was answered already, or has expired: look again.`);
  }
  return { row, step };
}
export function enactAnswer({ row, step }: { row: Row; step: Step }, value: string, nowMs: number): void {
  Object.assign(step, { state: "done", value, bytes: Buffer.byteLength(value), atMs: nowMs, wait: undefined });
  wake(row);
}

export function waits(
  store: Store,
  { kind, after, limit }: { readonly kind: WaitKind; readonly after?: WaitRecord; readonly limit: number },
): WaitRecord[] {
  const place = (record: WaitRecord): readonly (number | string)[] => [
    record.delivery.sub,
    record.delivery.slot,
    record.delivery.position,
    record.scope,
    record.step.name,
  ];
  return [...store.steps.values()]
    .filter((step) => step.state === "waiting" && step.wait?.kind === kind)
    .flatMap((step) => {
      const row = rowOf(store, step);
      if (row === undefined) return [];
      const { sub, gen, slot, position } = row;
      return [{ delivery: { sub, gen, slot, position }, scope: step.scope, step: view(step) }];
    })
    .toSorted((a, b) => comparePlaces(place(a), place(b)))
    .filter((record) => after === undefined || comparePlaces(place(record), place(after)) > 0)
    .slice(0, limit);
}

/** Due now, or as soon as it waits. */
function wake(row: Row): void {
  if (row.state === "running") row.woken = true;
  else if (row.waits) makeReady(row, 0);
}

/** The open delivery that a step belongs to, in its scope. */
function rowOf(store: Store, step: Step): Row | undefined {
  const { sub, slot, position, scope } = step;
  const subscription = store.subscriptions.get(sub);
  const row = subscription?.slots.get(slot)?.rows.get(position);
  return row?.scope === scope ? row : undefined;
}

const isOf = (step: Step, { sub, slot, position }: Place): boolean =>
  step.sub === sub && step.slot === slot && step.position === position;

function view({ sub: _sub, slot: _slot, position: _position, scope: _scope, ...step }: Step): StepRecord {
  return { ...step, value: step.bytes > limits.stepInlineBytes ? undefined : step.value };
}

const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
function comparePlaces(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (const [i, one] of a.entries()) {
    const other = b[i]!;
    const order = typeof one === "number" ? one - Number(other) : compare(one, String(other));
    if (order !== 0) return order;
  }
  return 0;
}
