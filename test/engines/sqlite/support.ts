import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Engine } from "../../../src/engine/engine.ts";
import { sqlite, type SqliteOptions } from "../../../src/engines/sqlite/index.ts";
import { openStore, type Store } from "../../../src/engines/sqlite/store.ts";
import { realEnv, type Env } from "../../../src/env.ts";

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
