import assert from "node:assert/strict";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Engine } from "../../../src/engine/engine.ts";
import { sqlite, type SqliteOptions } from "../../../src/engines/sqlite/index.ts";
import { openStore, type Store } from "../../../src/engines/sqlite/store.ts";
import { realEnv, type Env } from "../../../src/env.ts";
import type { Order } from "./programs/child.ts";

/** A fresh directory that goes with the test. */
export function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "factlog-sqlite-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export const place = (t: TestContext): string => join(directory(t), "log.db");

export const program = (name: string): string => fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url));

export async function openEngine(
  t: TestContext,
  path: string,
  options: SqliteOptions & { readonly env?: Env } = {},
): Promise<Engine> {
  const { env = realEnv, ...rest } = options;
  const engine = await sqlite(path, rest).open(env);
  t.after(() => closeEngine(engine));
  return engine;
}

export async function closeEngine({ log, ledger }: Engine): Promise<void> {
  await ledger.close();
  await log.close();
}

/** What lies beneath an engine, for what its ports do not show. */
export async function openBeneath(t: TestContext, path: string, env: Env = realEnv): Promise<Store> {
  const store = await openStore(env, path, { kind: "log", slots: undefined, slotsDefault: 64 });
  store.use();
  t.after(() => store.leave());
  return store;
}

/** Minutes of monotonic time pass in milliseconds. */
export const hurried = (factor: number): Env => ({ ...realEnv, monotonic: () => realEnv.monotonic() * factor });

/** Another process on the same file. */
export class Child {
  readonly process: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;

  private constructor(path: string) {
    this.process = spawn(process.execPath, [program("child"), path]);
    this.process.stderr.pipe(process.stderr);
    this.#answers = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  static async on(t: TestContext, path: string): Promise<Child> {
    const child = new Child(path);
    t.after(() => child.end("SIGKILL"));
    assert.equal(await child.#answer(), "ready");
    return child;
  }

  async tell<T>(order: Order): Promise<T> {
    this.process.stdin.write(`${JSON.stringify(order)}\n`);
    return (await this.#answer()) as T;
  }

  /** Resolves when it has ended: by the signal, or by itself as soon as it has no more to do. */
  async end(signal?: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    if (signal === undefined) this.process.stdin.end();
    else this.process.kill(signal);
    await ended;
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error("the child ended without an answer");
    return JSON.parse(value) as unknown;
  }
}
