import type { Entering, Entry } from "../../engine/register.ts";
import { emit, requireEmittable, type Context } from "./facts.ts";
import type { Store } from "./store.ts";

export function entries(store: Store, kind: string): Entry[] {
  return [...(store.entries.get(kind) ?? [])]
    .map(([name, body]) => ({ name, body }))
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

export function enter(context: Context, { kind, name, seen, body, events }: Entering): boolean {
  const { store } = context;
  const before = store.entries.get(kind);
  if (before?.get(name) !== seen) return false;
  requireEmittable(context, events);
  const after = new Map(before);
  if (body === undefined) after.delete(name);
  else after.set(name, body);
  store.entries.set(kind, after);
  emit(context, events);
  return true;
}
