import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Finding } from "../../engine/engine.ts";
import type { Env } from "../../env.ts";
import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { Database } from "./database.ts";
import { inspect } from "./inspect.ts";
import { parseLocation, requireGoodPlace } from "./location.ts";
import { type Identity, identityOf, renewEpoch } from "./migrations.ts";
import { isBusy, isFatal, storeError } from "./sqlite-error.ts";
import { openStore } from "./store.ts";

export interface CopyOptions {
  /** Called once in a while with the bytes that are copied. */
  readonly onProgress?: (bytes: number, ofBytes: number) => void;
}
export interface BackedUp {
  readonly bytes: number;
  /** Of the copy: another than that of what was copied. */
  readonly epoch: string;
  /** What was checked of the copy, all well. */
  readonly findings: readonly Finding[];
}
export interface Restored extends BackedUp {
  /** The file that stood there before; undefined where there was none. */
  readonly aside: string | undefined;
}

const progressMs = 500;

/**
 * Copies a log of one moment to `file`, while processes publish and work. The copy is checked and synced before it has its
 * name: a file of that name is a whole backup. It is of an epoch of its own, so that positions handed out before mean
 * nothing in it. A read transaction is open meanwhile: the log's `-wal` grows by what is published. Throws NOT_FOUND,
 * INVALID_OPTION (onto itself), CONFLICT (the file is there), NOT_A_LOG, STORE_TOO_NEW, STORE_FULL, STORE_FAILED.
 */
export async function backup(env: Env, log: string, file: string, options: CopyOptions = {}): Promise<BackedUp> {
  const [from, to] = pathsOf(log, file);
  if (existsSync(to)) {
    throw new FactlogError("CONFLICT", `${to} is there already: name another file.`, { details: { file: to } });
  }
  return copied(env, from, to, options, () => {});
}

/**
 * Makes a backup the log at `log`, in a new epoch: workers, streams and whoever keeps positions notice. What stood there
 * is moved aside, never removed; it must not be open in any process: STORE_BUSY. Otherwise throws what `backup` throws.
 */
export async function restore(env: Env, file: string, log: string, options: CopyOptions = {}): Promise<Restored> {
  const [from, to] = pathsOf(file, log);
  if (!existsSync(to)) return { ...(await copied(env, from, to, options, () => {})), aside: undefined };
  const aside = `${to}.before-${new Date(env.now()).toISOString().replaceAll(/[:.]/gu, "-")}`;
  // Held until the new file has the name: whoever opens the log meanwhile finds it busy.
  using _held = exclusively(to);
  return { ...(await copied(env, from, to, options, () => moveAside(to, aside))), aside };
}

function pathsOf(source: string, target: string): readonly [from: string, to: string] {
  const [from, to] = [parseLocation(source), parseLocation(target)];
  if (from.inMemory || to.inMemory) {
    throw new FactlogError("NOT_SUPPORTED", "a log in memory has no file: give sqlite:PATH.");
  }
  if (from.path === to.path) {
    throw new FactlogError("INVALID_OPTION", `${from.path} cannot be copied onto itself: name another file.`);
  }
  if (!existsSync(from.path) || statSync(from.path).size === 0) {
    throw new FactlogError("NOT_FOUND", `there is no log at ${from.path}.`, { details: { file: from.path } });
  }
  requireGoodPlace(to.path);
  return [from.path, to.path];
}

/** Under another name first; `ready` is called before it takes its own. */
async function copied(env: Env, from: string, to: string, options: CopyOptions, ready: () => void): Promise<BackedUp> {
  const part = `${to}.part`;
  remove(part);
  try {
    await watched(env, part, from, options, () => copy(from, part));
    const result = await checked(env, part);
    sync(part);
    ready();
    renameSync(part, to);
    sync(dirname(to));
    return result;
  } finally {
    remove(part);
  }
}

async function copy(from: string, part: string): Promise<void> {
  const source = new Database(from, { readOnly: true, timeoutMs: limits.busyMaxMs });
  try {
    if (identityOf(source, from) === undefined) throw new FactlogError("NOT_A_LOG", `${from} is no Factlog log.`);
    await source.copyTo(part);
  } catch (error) {
    throw storeError(error, `${from} to ${part}`);
  } finally {
    source.close();
  }
}

/** Tells of a copy how far it is. */
async function watched(
  env: Env,
  part: string,
  from: string,
  { onProgress }: CopyOptions,
  work: () => Promise<void>,
): Promise<void> {
  if (onProgress === undefined) return work();
  const ofBytes = statSync(from).size;
  const tell = (): void => {
    onProgress(Math.min(statSync(part, { throwIfNoEntry: false })?.size ?? 0, ofBytes), ofBytes);
    timer = env.after(progressMs, tell);
  };
  let timer = env.after(progressMs, tell);
  try {
    await work();
  } finally {
    timer.cancel();
  }
}

/** Begins the copy's own epoch, and looks whether all is well in it. */
async function checked(env: Env, part: string): Promise<BackedUp> {
  const store = await openStore(env, part, { kind: kindOf(part), slots: undefined, slotsDefault: limits.slots });
  store.use();
  try {
    await store.write(() => renewEpoch(store.db, env), { full: true });
    const findings = await inspect(store, { whole: true });
    const bad = findings.filter(({ ok }) => !ok);
    if (bad.length > 0) {
      const what = bad.map(({ check, message }) => `${check}: ${message}`).join("; ");
      throw new FactlogError("STORE_FAILED", `the copy is not sound (${what}): \`factlog doctor\` looks at the log.`, {
        details: { findings: bad },
      });
    }
    // One file, that can be read from a medium that cannot be written.
    store.db.exec("PRAGMA journal_mode = DELETE");
    return { bytes: statSync(part).size, epoch: identityOf(store.db, part)!.epoch, findings };
  } finally {
    await store.leave();
  }
}

function kindOf(path: string): Identity["kind"] {
  const db = new Database(path);
  try {
    return identityOf(db, path)?.kind ?? "log";
  } finally {
    db.close();
  }
}

/** Holds a file that nobody else has open. One that SQLite cannot read is free: it may be why there is a restore. */
function exclusively(path: string): Disposable {
  const db = new Database(path, { timeoutMs: 0 });
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    // Leaving WAL takes the whole file, and takes what is in the WAL into it.
    db.exec("PRAGMA journal_mode = DELETE");
  } catch (error) {
    if (isFatal(error)) return { [Symbol.dispose]: () => db.close() };
    db.close();
    if (!isBusy(error)) throw storeError(error, path);
    throw new FactlogError("STORE_BUSY", `${path} is open in a process: stop its workers and publishers first.`, {
      cause: error,
      details: { file: path },
    });
  }
  return { [Symbol.dispose]: () => db.close() };
}

const besides = ["", "-wal", "-shm", "-journal"] as const;

function moveAside(path: string, aside: string): void {
  for (const each of besides) if (existsSync(path + each)) renameSync(path + each, aside + each);
}

function remove(path: string): void {
  for (const each of [...besides, "-bell"]) rmSync(path + each, { force: true });
}

function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
