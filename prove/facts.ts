import type { StandardSchemaV1 } from "@standard-schema/spec";
import { defineEvent } from "../src/index.ts";

/** Takes what it is given: processes here are started by the hundred, and a schema library costs as much as the rest. */
function anything<T>(): StandardSchemaV1<T, T> {
  return { "~standard": { version: 1, vendor: "prove", validate: (value) => ({ value: value as T }) } };
}

export interface FactData {
  readonly key: string;
  readonly n: number;
  readonly pad: string;
}
/** Stated by publishers. */
export const Fact = defineEvent("Fact", { schema: anything<FactData>(), key: (fact) => fact.key });

/** Emitted by handlers: one for each fact. */
export const Derived = defineEvent("Derived", {
  schema: anything<{ readonly key: string; readonly of: string; readonly sub: string; readonly run: number }>(),
  key: (derived) => derived.key,
});

/** The n-th fact of a publisher: the same whenever it is stated again. */
export function factOf(publisher: string, n: number, keys: number): ReturnType<typeof Fact> {
  const key = `k${(Math.imul(n + 1, 2_654_435_761) >>> 16) % keys}`;
  return Fact({ key, n, pad: "x".repeat((n * 37) % 300) }, { id: `${publisher}-${n}` });
}
