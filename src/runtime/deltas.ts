import type { Delta, DeltaPort } from "../engine/deltas.ts";
import type { Env, Timer } from "../env.ts";
import { limits } from "../limits.ts";
import type { SharedStore } from "./store.ts";

export type { Delta } from "../engine/deltas.ts";

/**
 * Text that handlers show while they work: gathered for `limits.deltaEveryMs`, then told to whoever listens here and, through
 * the engine, elsewhere. Bounded: of a handler that says more than fits, the newest is told; nobody waits for anybody.
 */
export class Deltas {
  readonly #env: Env;
  readonly #port: DeltaPort | undefined;
  readonly #ears = new Set<(delta: Delta) => void>();
  readonly #gathered = new Map<string, Delta>();
  #timer: Timer | undefined;

  constructor(env: Env, port: DeltaPort | undefined) {
    this.#env = env;
    this.#port = port;
  }

  add(delta: Delta): void {
    const name = nameOf(delta);
    const before = this.#gathered.get(name);
    if (before === undefined && this.#gathered.size >= limits.deltasWaitingMax) return;
    this.#gathered.set(name, { ...delta, text: newest((before?.text ?? "") + delta.text) });
    this.#timer ??= this.#env.after(limits.deltaEveryMs, () => this.flush(), { upkeep: true });
  }
  /** What was gathered is told now: before what comes of it. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#gathered.size === 0) return;
    const deltas = [...this.#gathered.values()];
    this.#gathered.clear();
    for (const hear of this.#ears) for (const delta of deltas) hear(delta);
    this.#port?.tell(deltas);
  }
  /** From here and from other processes, until the answer is called. */
  listen(hear: (delta: Delta) => void): () => void {
    this.#ears.add(hear);
    const leave = this.#port?.listen(hear);
    return () => {
      this.#ears.delete(hear);
      leave?.();
    };
  }
}

const nameOf = ({ subscription, eventId, correlationId }: Delta): string =>
  JSON.stringify([subscription, eventId, correlationId]);

/** The end of what was said, as far as it fits; not from the middle of a character. */
function newest(text: string): string {
  if (text.length <= limits.deltaCharsMax) return text;
  const end = text.slice(-limits.deltaCharsMax);
  return /^[\uDC00-\uDFFF]/u.test(end) ? end.slice(1) : end;
}

const partName = "deltas";
export function deltasOf(store: SharedStore): Deltas {
  const known = store.parts.get(partName) as Deltas | undefined;
  const deltas = known ?? new Deltas(store.env, store.engine.deltas);
  store.parts.set(partName, deltas);
  return deltas;
}

/** What one reader has not taken yet. */
export class DeltaQueue {
  #waiting: Delta[] = [];
  #chars = 0;
  #came = Promise.withResolvers<"delta">();
  readonly #leave: () => void;

  constructor(deltas: Deltas, wants: (delta: Delta) => boolean) {
    this.#leave = deltas.listen((delta) => {
      if (wants(delta)) this.#put(delta);
    });
  }
  /** Resolves as soon as there is something to take. */
  get came(): Promise<"delta"> {
    return this.#came.promise;
  }
  take(): readonly Delta[] {
    const taken = this.#waiting;
    this.#waiting = [];
    this.#chars = 0;
    this.#came = Promise.withResolvers();
    return taken;
  }
  close(): void {
    this.#leave();
  }
  /** What follows in one text is one frame. Beyond the bound the oldest is lost. */
  #put(delta: Delta): void {
    const last = this.#waiting.at(-1);
    if (last !== undefined && nameOf(last) === nameOf(delta) && last.text.length < limits.deltaCharsMax)
      this.#waiting[this.#waiting.length - 1] = { ...last, text: last.text + delta.text };
    else this.#waiting.push(delta);
    this.#chars += delta.text.length;
    while (this.#chars > limits.deltaQueueCharsMax) this.#chars -= this.#waiting.shift()?.text.length ?? this.#chars;
    this.#came.resolve("delta");
  }
}
