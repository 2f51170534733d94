import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Random } from "../../sim/random.ts";
import { openLog } from "../../src/index.ts";
import { app, keys, makeEffectTable, publisher } from "../app.ts";
import { factOf } from "../facts.ts";
import { complaints, factsOf } from "../judge.ts";
import { inDirectory } from "../scratch.ts";
import type { Fault } from "./fault.ts";

const checkpointed = 200;
const inWal = 100;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

type Outcome = "detected" | "harmless" | "cut" | "wrong";

/** One bit of the file or its WAL is not what it was. It is noticed or does no harm; no other content is ever served. */
export const bitflip: Fault = {
  name: "bitflip",
  ci: 90,
  release: 1_000,
  run: (times, random) =>
    inDirectory(async (path) => {
      await makeStore(path("origin.db"), path("copy.db"));
      const seen: Record<Outcome, number> = { detected: 0, harmless: 0, cut: 0, wrong: 0 };
      const wrong: string[] = [];
      for (let n = 0; n < times; n++) {
        const where = n % 3 === 0 ? "copy.db-wal" : "copy.db";
        mkdirSync(path("flipped"));
        for (const name of ["copy.db", "copy.db-wal"]) copyFileSync(path(name), path(`flipped/${name}`));
        const bit = flip(path(`flipped/${where}`), random);
        const { outcome, detail } = await look(path("flipped/copy.db"), where === "copy.db-wal");
        rmSync(path("flipped"), { recursive: true });
        seen[outcome]++;
        if (outcome === "wrong") wrong.push(`${where}, bit ${bit}: ${detail}`);
      }
      if (seen.detected === 0) wrong.push("void: nothing was ever detected");
      return { figures: { flips: times, ...seen }, wrong };
    }),
};

/** A file with facts in it, and a WAL with further ones: as it is while a process works. */
async function makeStore(origin: string, copy: string): Promise<void> {
  const facts = Array.from({ length: checkpointed + inWal }, (_, n) => factOf(publisher, n, keys));
  const first = await openLog(`sqlite:${origin}`);
  makeEffectTable(origin);
  await first.publishAll(facts.slice(0, checkpointed));
  await first.drain(app);
  await first.close();
  const second = await openLog(`sqlite:${origin}`);
  for (let n = checkpointed; n < facts.length; n += 10) await second.publishAll(facts.slice(n, n + 10));
  copyFileSync(origin, copy);
  copyFileSync(`${origin}-wal`, `${copy}-wal`);
  if (statSync(`${copy}-wal`).size === 0) throw new Error("nothing lies in the WAL");
  await second.close();
}

function flip(file: string, random: Random): number {
  const bytes = readFileSync(file);
  const bit = random.int(0, bytes.length * 8 - 1);
  const at = bit >> 3;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
  writeFileSync(file, bytes);
  return bit;
}

/**
 * "cut": a WAL ends where its checksums do, so that the newest transactions are gone; SQLite cannot tell that from a
 * crash in the middle of one.
 */
async function look(file: string, wal: boolean): Promise<{ readonly outcome: Outcome; readonly detail: string }> {
  let log;
  try {
    log = await openLog(`sqlite:${file}`, { logger: silent });
    const { ids, wrong } = await factsOf(log);
    if (wrong.length > 0) return { outcome: "wrong", detail: `served: ${wrong.join()}` };
    const found = await complaints(log);
    if (found.length > 0) return { outcome: "detected", detail: found.join() };
    const missing = checkpointed + inWal - ids.size;
    if (missing === 0) return { outcome: "harmless", detail: "" };
    const cut = wal && ids.size >= checkpointed && isPrefix(ids);
    return { outcome: cut ? "cut" : "wrong", detail: `${missing} facts are missing and nobody says so` };
  } catch (error) {
    return { outcome: "detected", detail: String(error) };
  } finally {
    await log?.close().catch(() => {});
  }
}
const isPrefix = (ids: ReadonlySet<string>): boolean =>
  Array.from({ length: ids.size }, (_, n) => `${publisher}-${n}`).every((id) => ids.has(id));
