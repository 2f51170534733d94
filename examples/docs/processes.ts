/** docs/guides/several-processes.md: workers that share one file. */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { defineApp, defineEvent, defineSubscription, openLog, run } from "factlog";
import { z } from "zod";

const Counted = defineEvent("Counted", {
  schema: z.object({ n: z.int() }),
  key: (data) => String(data.n),
  id: (data) => String(data.n),
});
const CountedBy = defineEvent("CountedBy", {
  schema: z.object({ n: z.int(), pid: z.int() }),
  id: (data) => `by/${data.n}`,
});
const counter = defineSubscription("counter", { on: Counted, emits: [CountedBy], from: "beginning" }, (event, ctx) => {
  ctx.emit(CountedBy({ n: event.data.n, pid: process.pid }));
});
const app = defineApp({ name: "count", subscriptions: [counter] });
const file = process.argv[2];

if (file !== undefined) {
  // #region worker
  await run(app, { url: `sqlite:${file}` }); // until SIGTERM or SIGINT
  // #endregion
} else {
  const folder = mkdtempSync(join(tmpdir(), "factlog-docs-"));
  // #region open
  const log = await openLog(`sqlite:${join(folder, "count.db")}`, { source: "count" });
  // #endregion
  const children = [1, 2].map(() => fork(import.meta.filename, [join(folder, "count.db")]));
  const ended = children.map((child) => new Promise<unknown>((resolve) => child.once("exit", resolve)));

  // #region workers
  const workers = async (): Promise<number> => (await log.operator.status())[0]?.workers ?? 0;
  while ((await workers()) < 2) await sleep(20); // each has its share of the slots
  // #endregion
  await log.publishAll(Array.from({ length: 1_000 }, (_, n) => Counted({ n })));

  let done = 0;
  for await (const frame of log.follow({ on: CountedBy, from: "beginning" })) {
    if (frame.kind === "event" && ++done === 1_000) break;
  }
  for (const child of children) child.kill("SIGTERM");
  console.log("exit codes", ...(await Promise.all(ended)));

  const pids = new Set<number>();
  for await (const event of log.read({ on: CountedBy })) pids.add(event.data.pid);
  console.log("events", done, "processes", pids.size);
  await log.close();
  rmSync(folder, { recursive: true });
}

// Output:
// exit codes 0 0
// events 1000 processes 2
