import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import type { Delta, DeltaPort } from "../../engine/deltas.ts";
import type { Env, Timer } from "../../env.ts";
import { limits } from "../../limits.ts";
import type { Location } from "./location.ts";

type Line = readonly [teller: string, delta: Delta];

/**
 * Deltas of other processes come through `<db>-deltas`, a file to which each appends its lines, and which all look at while
 * somebody listens. It is emptied when it is full, and when nothing has come for a while: nothing is kept in it.
 */
export class SqliteDeltas implements DeltaPort {
  readonly #env: Env;
  /** Undefined: in memory, where there are no others. */
  readonly #path: string | undefined;
  readonly #me: string;
  readonly #ears = new Set<(delta: Delta) => void>();
  #file: number | undefined;
  /** How far it was read, and the beginning of a line whose end has not come. */
  #read = 0;
  #rest = "";
  #look: Timer | undefined;
  #sweep: Timer | undefined;

  constructor(env: Env, location: Location) {
    this.#env = env;
    this.#path = location.inMemory ? undefined : `${location.path}-deltas`;
    this.#me = env.uuid();
  }

  tell(deltas: readonly Delta[]): void {
    const text = deltas.map((delta) => `${JSON.stringify([this.#me, delta] satisfies Line)}\n`).join("");
    this.#safely((file) => {
      const { size } = fstatSync(file);
      if (size + text.length > limits.deltaFileBytesMax) ftruncateSync(file, 0);
      writeSync(file, text);
    });
    this.#sweep?.cancel();
    this.#sweep = this.#env.after(limits.deltaKeptMs, () => this.#safely((file) => ftruncateSync(file, 0)), {
      upkeep: true,
    });
  }

  listen(hear: (delta: Delta) => void): () => void {
    if (this.#ears.size === 0) {
      this.#safely((file) => (this.#read = fstatSync(file).size));
      this.#rest = "";
    }
    this.#ears.add(hear);
    this.#poll();
    return () => {
      this.#ears.delete(hear);
      if (this.#ears.size === 0) this.#stop();
    };
  }

  close(): void {
    this.#stop();
    this.#sweep?.cancel();
    if (this.#file === undefined) return;
    this.#safely((file) => ftruncateSync(file, 0));
    closeSync(this.#file);
    this.#file = undefined;
  }

  #stop(): void {
    this.#look?.cancel();
    this.#look = undefined;
  }
  #poll(): void {
    if (this.#path === undefined || this.#look !== undefined) return;
    const look = (): void => {
      this.#look = undefined;
      this.#safely((file) => this.#hear(file));
      if (this.#ears.size > 0) this.#poll();
    };
    this.#look = this.#env.after(limits.deltaEveryMs, look, { upkeep: true });
  }

  #hear(file: number): void {
    const { size } = fstatSync(file);
    // It was emptied: what was not read is gone.
    if (size < this.#read) [this.#read, this.#rest] = [0, ""];
    if (size === this.#read) return;
    const bytes = Buffer.alloc(Math.min(size - this.#read, limits.deltaFileBytesMax));
    this.#read += readSync(file, bytes, 0, bytes.length, this.#read);
    const lines = (this.#rest + bytes.toString("utf8")).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#heard(line);
  }
  #heard(line: string): void {
    let said: Line;
    try {
      said = JSON.parse(line) as Line;
    } catch {
      // It was emptied in the middle of a line.
      return;
    }
    if (said[0] !== this.#me) for (const hear of this.#ears) hear(said[1]);
  }

  /** Whatever goes wrong with it, nothing depends on it. */
  #safely(act: (file: number) => void): void {
    if (this.#path === undefined) return;
    try {
      act((this.#file ??= openSync(this.#path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600)));
    } catch {
      // Lost.
    }
  }
}
