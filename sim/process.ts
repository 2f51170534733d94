import type { Env } from "../src/env.ts";
import type { Log } from "../src/runtime/log.ts";
import type { Worker } from "../src/runtime/worker.ts";
import type { Random } from "./random.ts";
import type { Owner, World } from "./world.ts";

const epochMs = Date.UTC(2026, 0, 1);

/** A process of the simulated machine: what it waits for is forgotten when it dies; what it stored stays. */
export class Process implements Owner {
  readonly number: number;
  readonly name: string;
  readonly role: "worker" | "client";
  readonly env: Env;
  readonly #world: World;
  gone = false;
  /** It ended without a word. */
  crashed = false;
  frozenUntilMs = 0;
  /** How far its wall clock is off. */
  skewMs: number;
  log: Log | undefined;
  worker: Worker | undefined;
  /** It is shutting down of its own will. */
  leaving = false;
  /** Version of the app that it runs. */
  version = 1;

  constructor(world: World, number: number, role: "worker" | "client", random: Random, skewMs: number) {
    this.#world = world;
    this.number = number;
    this.name = `${role === "worker" ? "w" : "c"}${number}`;
    this.role = role;
    this.skewMs = skewMs;
    const originMs = random.int(0, 1_000_000);
    this.env = {
      now: () => epochMs + world.nowMs + this.skewMs,
      monotonic: () => originMs + world.nowMs,
      random: () => random.unit(),
      uuid: () => uuidV7(epochMs + world.nowMs, random),
      after: (delayMs, task) => {
        const scheduled = world.after(delayMs, this, "timer", task);
        return { cancel: () => void (scheduled.cancelled = true) };
      },
      soon: (task) => void world.after(0, this, "soon", task),
    };
  }
  /** Ends it here: nothing of it runs any more. */
  end(): void {
    this.gone = true;
    this.log = undefined;
    this.worker = undefined;
  }
  get frozen(): boolean {
    return this.frozenUntilMs > this.#world.nowMs;
  }
  get ready(): boolean {
    return !this.gone && !this.leaving && !this.frozen && this.log !== undefined;
  }
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.after(ms, this, "sleep", resolve));
  }
}

function uuidV7(nowMs: number, random: Random): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  const time = hex(nowMs, 12);
  const variant = hex(0x8000 | (random.bits() & 0x3fff), 4);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(random.bits() & 0xfff, 3)}-${variant}-${hex(random.bits() & 0xffff, 4)}${hex(random.bits(), 8)}`;
}
