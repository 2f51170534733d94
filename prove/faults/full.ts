import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { type Log, openLog } from "../../src/index.ts";
import { app, keys, makeEffectTable, publisher } from "../app.ts";
import { factOf } from "../facts.ts";
import { complaints, factsOf, rowsAreRight } from "../judge.ts";
import { errorsOnly } from "../say.ts";
import { eventually, inDirectory } from "../scratch.ts";
import type { Fault } from "./fault.ts";

const firstKiB = 6_144;
const moreKiB = 1_024;
const inFlight = 50;

/** The disk fills up and is given more room, again and again, under one open log with a worker. */
export const full: Fault = {
  name: "full",
  ci: 3,
  release: 50,
  run: (times) =>
    inDirectory(async (path) => {
      const directory = path("disk");
      mkdirSync(directory);
      if (!mount(directory, firstKiB, [])) {
        return { figures: { cycles: 0, skipped: "no right to mount a tmpfs here" }, wrong: [] };
      }
      const unmount = (): void => void spawnSync("umount", ["-l", directory]);
      process.once("exit", unmount);
      try {
        return await fill(directory, times);
      } finally {
        process.removeListener("exit", unmount);
        unmount();
      }
    }),
};

function mount(directory: string, kib: number, flags: readonly string[]): boolean {
  const options = ["-t", "tmpfs", "-o", [...flags, `size=${kib}k`].join(), "tmpfs", directory];
  return spawnSync("mount", options).status === 0;
}

async function fill(directory: string, times: number): Promise<Awaited<ReturnType<Fault["run"]>>> {
  const file = `${directory}/log.db`;
  const wrong: string[] = [];
  let refusals = 0;
  let next = 0;
  const log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
  try {
    makeEffectTable(file);
    const worker = await log.work(app);
    const failures: string[] = [];
    worker.stopped.catch((error: unknown) => void failures.push(`the worker stopped: ${String(error)}`));
    for (let cycle = 1; cycle <= times; cycle++) {
      const refused = await publishUntilFull(log, () => next++);
      refusals += refused.length;
      for (const { code } of refused) if (code !== "STORE_FULL") wrong.push(`a full disk is answered ${code}`);
      const { ids } = await factsOf(log);
      for (const { n } of refused) if (ids.has(`${publisher}-${n}`)) wrong.push(`fact ${n} was refused and is there`);
      mount(directory, firstKiB + cycle * moreKiB, ["remount"]);
      for (const { n } of refused) await log.publish(factOf(publisher, n, keys));
    }
    mount(directory, firstKiB * 4 + times * moreKiB, ["remount"]);
    if (!(await eventually(async () => (await depthOf(log)) === 0, 60_000))) wrong.push(`${await depthOf(log)} open`);
    if (failures.length === 0) await worker.stop();
    wrong.push(...failures);
    const { ids, wrong: changed } = await factsOf(log);
    if (ids.size !== next) wrong.push(`${ids.size} of ${next} facts are there`);
    wrong.push(...changed, ...(await complaints(log)), ...rowsAreRight(file, ids, true));
    return { figures: { cycles: times, refusals, facts: next }, wrong };
  } finally {
    await log.close();
  }
}

async function publishUntilFull(
  log: Log,
  take: () => number,
): Promise<readonly { readonly n: number; readonly code: string }[]> {
  const refused: { n: number; code: string }[] = [];
  while (refused.length === 0) {
    const numbers = Array.from({ length: inFlight }, take);
    const answers = await Promise.allSettled(numbers.map((n) => log.publish(factOf(publisher, n, keys))));
    for (const [i, answer] of answers.entries()) {
      if (answer.status === "fulfilled") continue;
      refused.push({ n: numbers[i] ?? 0, code: (answer.reason as { code?: string }).code ?? String(answer.reason) });
    }
  }
  return refused;
}

async function depthOf(log: Log): Promise<number> {
  return (await log.operator.status()).reduce((sum, { depth }) => sum + depth, 0);
}
