/** docs/guides/from-bullmq.md and docs/guides/from-pg-boss.md: the same jobs as facts. */
import {
  defineApp,
  defineBatchSubscription,
  defineEvent,
  defineSchedule,
  defineSubscription,
  NonRetryable,
} from "factlog";
import { testLog } from "factlog/testing";
import { z } from "zod";

const report = { schema: z.object({ reportId: z.string() }), key: (data: { reportId: string }) => data.reportId };
const build = async (reportId: string): Promise<string> => `https://example.org/${reportId}`;

// #region job
const ReportRequested = defineEvent("ReportRequested", {
  schema: z.object({ reportId: z.string(), express: z.boolean().default(false) }),
  key: (data) => data.reportId,
  id: (data) => data.reportId, // jobId, singletonKey: requested twice is one fact
});
const ReportReady = defineEvent("ReportReady", {
  schema: z.object({ reportId: z.string(), url: z.string() }),
  key: (data) => data.reportId,
});

const reports = defineSubscription(
  "reports",
  {
    on: ReportRequested,
    emits: [ReportReady],
    order: "none", // as in a queue: nothing waits for anything
    concurrency: 8,
    retry: { attemptsMax: 5, backoff: { first: "1s", factor: 2, max: "1m" } },
    filter: (event) => !event.data.express,
  },
  async (event, ctx) => {
    const { reportId } = event.data;
    if (reportId === "") throw new NonRetryable("no report"); // UnrecoverableError
    ctx.emit(ReportReady({ reportId, url: await build(reportId) })); // what the job returns
  },
);
// #endregion

// #region lanes
const express = defineSubscription(
  "reports-express",
  { on: ReportRequested, emits: [ReportReady], order: "none", concurrency: 16, filter: (event) => event.data.express },
  async (event, ctx) => {
    const { reportId } = event.data;
    ctx.emit(ReportReady({ reportId, url: await build(reportId) }));
  },
);
// #endregion

// #region schedule
const NightlyDue = defineEvent("NightlyDue", { schema: z.object({ day: z.string() }), id: (data) => data.day });
const nightly = defineSchedule("nightly", { cron: "0 3 * * *", timeZone: "Europe/Berlin", missed: "once" }, ({ at }) =>
  NightlyDue({ day: at.toISOString().slice(0, 10) }),
);
// #endregion

// #region parent
const PartDone = defineEvent("PartDone", { ...report, schema: z.object({ reportId: z.string(), parts: z.int() }) });
const AllDone = defineEvent("AllDone", report);
const join = defineSubscription(
  "join",
  { on: PartDone, emits: [AllDone], state: { schema: z.number(), initial: 0 } },
  (event, ctx) => {
    ctx.state.set(ctx.state.get() + 1);
    if (ctx.state.get() === event.data.parts) ctx.emit(AllDone({ reportId: event.data.reportId }));
  },
);
// #endregion

// #region batch
const bulk: string[][] = [];
const index = defineBatchSubscription("index", { on: ReportReady, batch: { max: 100 } }, async (events, ctx) => {
  for (const event of events) if (event.data.url === "") ctx.fail(event, new Error("no url"));
  bulk.push(events.map((event) => event.data.reportId));
});
// #endregion

const app = defineApp({
  name: "reports",
  subscriptions: [reports, express, join, index],
  schedules: [nightly],
});

// #region publish
async function requests(): Promise<void> {
  await using log = await testLog(app);
  await log.publish(ReportRequested({ reportId: "r-1" })); // queue.add
  await log.publish(ReportRequested({ reportId: "r-2" }), { after: "10m" }); // { delay }, startAfter
  await log.publish(ReportRequested({ reportId: "r-3" }), { after: "10m" });
  await log.cancel("r-3"); // job.remove(), boss.cancel()
  const receipt = await log.publish(ReportRequested({ reportId: "r-4", express: true }));
  const ready = await log.until(receipt, ReportReady, { timeout: "30s" }); // job.waitUntilFinished
  console.log(ready.data.url);
  await log.settled();
  await log.advance("10m");
  const built = (await log.eventsOf(ReportReady)).map((event) => event.data.reportId);
  console.log(built.toSorted().join(" "));
}
// #endregion
await requests();
{
  await using log = await testLog(app);
  await log.publishAll([1, 2].map(() => PartDone({ reportId: "r-9", parts: 2 })));
  await log.settled();
  console.log((await log.eventsOf(AllDone)).length, bulk.flat().length);
}

// Output:
// https://example.org/r-4
// r-1 r-2 r-4
// 1 3
