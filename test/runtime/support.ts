import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { postgres } from "../../src/engines/postgres/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { type Env, realEnv } from "../../src/env.ts";
import type { LogAddress, Logger } from "../../src/index.ts";
import { type Log, type OpenOptions, openLogIn } from "../../src/runtime/log.ts";

import { serverNames, serverUrl, sql } from "../support/postgres.ts";

export { Done, Order } from "./facts.ts";

const folder = mkdtempSync(join(tmpdir(), "factlog-runtime-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

/** A fresh file for a log. */
export const freshFile = (): string => join(folder, `log-${++files}.db`);

/** One server for the runtime's tests: engines are compared with each other by the suite. */
const server = serverNames[0] === undefined ? undefined : await serverUrl(serverNames[0]);
const schemas: string[] = [];
after(async () => {
  for (const schema of schemas) await sql(server!, `DROP SCHEMA IF EXISTS ${schema} CASCADE`);
});
function freshSchema(): EngineHandle {
  const schema = `runtime_${process.pid}_${schemas.length + 1}`;
  schemas.push(schema);
  return postgres({ url: server!, schema });
}

/**
 * Every promise of the runtime is tested on each of these: a fresh store. A run of all files leaves the server to the engine
 * suites and to the step of CI that names these files.
 */
export const engines: readonly { readonly name: string; readonly fresh: () => EngineHandle }[] = [
  { name: "memory", fresh: () => memory() },
  { name: "sqlite", fresh: () => sqlite(`sqlite:${freshFile()}`) },
  ...(server === undefined || process.env["FACTLOG_SUITES"] === "plain"
    ? []
    : [{ name: "postgres", fresh: freshSchema }]),
];

/** A process of its own as far as the store can tell: another environment shares nothing with the others. */
export const anotherProcess = (): Env => ({ ...realEnv });

/** A clock on which `factor` milliseconds pass in one. */
export function fastEnv(factor: number): Env {
  const startMs = realEnv.now();
  const originMs = realEnv.monotonic();
  const passedMs = (): number => (realEnv.monotonic() - originMs) * factor;
  return {
    ...realEnv,
    now: () => Math.floor(startMs + passedMs()),
    monotonic: passedMs,
    after: (delayMs, task, options) => realEnv.after(delayMs / factor, task, options),
  };
}

export interface LoggedLine {
  readonly level: string;
  readonly message: string;
  readonly fields: object | undefined;
}
export function loggerTo(lines: LoggedLine[]): Logger {
  const write =
    (level: string) =>
    (message: string, fields?: object): void =>
      void lines.push({ level, message, fields });
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}
export const silent: Logger = loggerTo([]);

export async function open(engine: LogAddress, options: OpenOptions & { readonly env?: Env } = {}): Promise<Log> {
  const { env = anotherProcess(), ...rest } = options;
  return openLogIn(env, engine, { logger: silent, ...rest });
}

/** Resolves when the fact holds; rejects, saying what was awaited, when it does not within the bound. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const until = realEnv.monotonic() + withinMs;
  while (!(await holds())) {
    if (realEnv.monotonic() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => void realEnv.after(2, () => resolve(undefined)));
  }
}

/** A promise and its resolver: a fact that a test can wait for. */
export function fact<T = void>(): { readonly holds: Promise<T>; readonly tell: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { holds: promise, tell: resolve };
}

/** A doctor's findings that are not well; clocks are those of the tests. */
export async function unwell(log: Log): Promise<readonly string[]> {
  return (await log.inspect())
    .filter((finding) => !finding.ok && finding.check !== "clock")
    .map((finding) => `${finding.check}: ${finding.message}`);
}
