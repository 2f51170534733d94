import { FactlogError } from "../errors.ts";
import type { Json } from "./json.ts";
import { type AnySchema, isSchema, issuesOf, issuesText, type Out, runSchema } from "./schema.ts";

const stepKey: unique symbol = Symbol.for("factlog.upcast");

/** A step from version `from` to `from + 1`. Made by `upcast`. */
export interface Upcast {
  readonly from: number;
  readonly __upcast: true;
}

export interface UpcastStep {
  readonly schema: AnySchema;
  readonly up: (old: unknown) => unknown;
}

/** A pure step from version `from` to `from + 1`. `schema` types and checks the old form. Throws INVALID_DEFINITION. */
export function upcast<S extends AnySchema>(from: number, schema: S, up: (old: Out<S>) => Json): Upcast {
  if (!Number.isSafeInteger(from) || from < 1) {
    throw new FactlogError(
      "INVALID_DEFINITION",
      `upcast from version ${String(from)}: give a whole number of at least 1.`,
    );
  }
  if (!isSchema(schema)) {
    throw new FactlogError("INVALID_DEFINITION", `upcast from version ${from}: its schema is no Standard Schema.`);
  }
  if (typeof up !== "function") {
    throw new FactlogError("INVALID_DEFINITION", `upcast from version ${from}: give a function as its third argument.`);
  }
  const step: UpcastStep = Object.freeze({ schema, up });
  return Object.freeze({ from, __upcast: true as const, [stepKey]: step });
}

/** One step for each version below `version`; gaps, duplicates and strangers throw INVALID_DEFINITION. */
export function upcastChain(
  type: string,
  version: number,
  upcasts: readonly Upcast[],
): ReadonlyMap<number, UpcastStep> {
  const refuse = (message: string): FactlogError =>
    new FactlogError("INVALID_DEFINITION", `${type}: ${message}`, { details: { type, option: "upcasts" } });
  const chain = new Map<number, UpcastStep>();
  for (const entry of upcasts) {
    const step = (entry as Partial<Upcast & { readonly [stepKey]: UpcastStep }> | null | undefined)?.[stepKey];
    if (step === undefined) throw refuse("an entry of upcasts was not made by upcast(from, schema, up).");
    if (entry.from >= version) throw refuse(`it is at version ${version}, but an upcast starts from ${entry.from}.`);
    if (chain.has(entry.from)) throw refuse(`two upcasts start from version ${entry.from}: keep one.`);
    chain.set(entry.from, step);
  }
  for (let from = 1; from < version; from++) {
    if (!chain.has(from))
      throw refuse(`it is at version ${version}, but no upcast starts from ${from}: add upcast(${from}, ...).`);
  }
  return chain;
}

/** Carries data of version `from` up to `to`. Throws what a step throws, or an Error naming what the old form's schema refused. */
export function applyUpcasts(chain: ReadonlyMap<number, UpcastStep>, data: unknown, from: number, to: number): unknown {
  let current = data;
  for (let version = from; version < to; version++) {
    const step = chain.get(version);
    if (step === undefined) throw new Error(`no upcast starts from version ${version}`);
    const result = runSchema(step.schema, current, `the upcast from version ${version}`);
    if (result.issues !== undefined) throw new Error(`not of version ${version}: ${issuesText(issuesOf(result))}`);
    current = step.up(result.value);
  }
  return current;
}
