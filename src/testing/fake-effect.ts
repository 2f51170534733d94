import { crashPoint } from "./crash-point.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- any function may be an effect
type AnyFunction = (...args: any[]) => any;

export interface EffectCall<F extends AnyFunction> {
  readonly args: Parameters<F>;
  readonly idempotencyKey: string | undefined;
}
/** A function that stands for an outside system, and what was done to it. */
export type Effect<F extends AnyFunction> = F & {
  /** What took place: a call under a key that was seen before changes nothing, and is not among them. */
  readonly calls: readonly EffectCall<F>[];
  readonly effectName: string;
};

/**
 * An outside system that remembers what was done to it, over crashes of the process that calls it. `idempotencyKey` says
 * which argument is the key: the system then honours it as a real receiver would, and answers a repeat with its first
 * answer. An error is thrown to the caller, and the call did not take place.
 */
export function fakeEffect<F extends AnyFunction>(
  name: string,
  run: F,
  options: { readonly idempotencyKey?: (...args: Parameters<F>) => string | undefined } = {},
): Effect<F> {
  const calls: EffectCall<F>[] = [];
  const answers = new Map<string, unknown>();
  const effect = async (...args: Parameters<F>): Promise<unknown> => {
    await crashPoint(`before ${name}`);
    const key = options.idempotencyKey?.(...args);
    if (key === undefined || !answers.has(key)) {
      const answer: unknown = await run(...args);
      calls.push({ args, idempotencyKey: key });
      if (key !== undefined) answers.set(key, answer);
      await crashPoint(`after ${name}`);
      return answer;
    }
    await crashPoint(`after ${name}`);
    return answers.get(key);
  };
  return Object.assign(effect, { calls, effectName: name }) as unknown as Effect<F>;
}
