import type { Random } from "../../sim/random.ts";
import { Child } from "../child.ts";
import { keys, publishers, workers } from "./plan.ts";
import { Publishes } from "./record.ts";

/** One of the five: a process, and its successors when it is killed. */
interface Part {
  readonly name: string;
  child: Child;
  life: number;
  isUp: boolean;
}

/** The processes of a round. */
export class Cast {
  readonly publishes = new Map(publishers.map((name) => [name, new Publishes(name)]));
  /** Lives that were ended with SIGKILL. */
  readonly killed = new Set<number>();
  readonly complaints: string[] = [];
  readonly #parts: Part[];
  readonly #url: string;
  readonly #witness: string;
  readonly #random: Random;
  /** Some of the workers are of the older version, as while a new one is rolled out. */
  readonly #mixed: boolean;
  readonly #worker: string;
  #lives = 0;

  constructor(url: string, witness: string, random: Random, mixed: boolean, worker = "crash/worker.ts") {
    this.#worker = worker;
    this.#url = url;
    this.#witness = witness;
    this.#random = random;
    this.#mixed = mixed;
    this.#parts = [...publishers, ...workers].map((name) => this.#begin({ name } as Part, []));
  }

  #begin(part: Part, unknown: readonly number[]): Part {
    const { name } = part;
    const life = this.#lives++;
    const publishes = this.publishes.get(name);
    const hear = (said: unknown): void => {
      if (Object.hasOwn(said as object, "up")) part.isUp = true;
      else publishes?.hear(said as Parameters<Publishes["hear"]>[0]);
    };
    const retry = unknown.filter(() => this.#random.chance(0.5)).join();
    const child =
      publishes === undefined
        ? new Child(this.#worker, [this.#url, this.#witness, `${life}`, this.#versionOf(name)], hear)
        : new Child("crash/publisher.ts", [this.#url, name, `${publishes.next}`, `${keys}`, retry], hear);
    void child.ended.then(({ code }) => {
      if (this.killed.has(life) || code === 0) return;
      this.complaints.push(`${name} ended with ${code}: ${child.errors.slice(-40).join(" | ")}`);
    });
    return Object.assign(part, { child, life, isUp: false });
  }

  /** The first worker is always of the newer one: what only that reads is worked off in the end. */
  #versionOf(name: string): "1" | "2" {
    return this.#mixed && name !== workers[0] && this.#random.chance(0.5) ? "1" : "2";
  }

  /** Kills one of them, mostly one that works, and puts a new process in its place. */
  async killOne(): Promise<void> {
    const part = this.#random.pick(this.#parts);
    const early = this.#random.chance(0.1);
    if (!part.isUp && !early) return;
    this.killed.add(part.life);
    part.child.kill();
    await part.child.ended;
    this.#begin(part, this.publishes.get(part.name)?.died() ?? []);
  }
  get areUp(): boolean {
    return this.#parts.every(({ isUp }) => isUp);
  }

  async stopPublishers(): Promise<void> {
    await this.#stop(
      this.#parts.filter(({ name }) => publishers.includes(name)),
      (child) => child.hangUp(),
    );
  }
  async stopWorkers(): Promise<void> {
    await this.#stop(
      this.#parts.filter(({ name }) => workers.includes(name)),
      (child) => child.kill("SIGTERM"),
    );
  }
  async #stop(parts: readonly Part[], stop: (child: Child) => void): Promise<void> {
    for (const { child } of parts) stop(child);
    await Promise.all(parts.map(({ child }) => child.ended));
  }
  /** Ends all that still runs, on every path. */
  async end(): Promise<void> {
    await this.#stop(this.#parts, (child) => child.kill());
  }
}
