/** Limits, turns and pauses, as in docs/guides/flow-control.md. */
import { defineApp, defineEvent, defineSubscription } from "factlog";
import { testLog } from "factlog/testing";
import { z } from "zod";

// #region tenants
const ImportRequested = defineEvent("ImportRequested", {
  schema: z.object({ file: z.string(), tenant: z.string() }),
  key: (request) => request.file,
  group: (request) => request.tenant,
});
const importer = defineSubscription(
  "importer",
  {
    on: ImportRequested,
    concurrency: 16,
    limits: { concurrency: 100, perGroup: { concurrency: 4, rate: { events: 2, per: "1m" } } },
  },
  (event) => console.log("import", event.group, event.data.file),
);
// #endregion

// #region rate
async function twoAMinute(): Promise<void> {
  await using log = await testLog(defineApp({ name: "imports", subscriptions: [importer] }));
  for (const file of ["a", "b", "c"]) await log.publish(ImportRequested({ file, tenant: "t-7" }));
  await log.settled();
  const [status] = await log.operator.status();
  console.log(
    "depth",
    status?.depth,
    status?.waitsFor.map((wait) => `${wait.for} of ${wait.group}`),
  );
  await log.advance("1m");
}
// #endregion

// #region pause
async function onePaused(): Promise<void> {
  await using log = await testLog(defineApp({ name: "imports", subscriptions: [importer] }));
  await log.operator.pause("importer", { group: "t-7" });
  await log.publish(ImportRequested({ file: "d", tenant: "t-7" }));
  await log.publish(ImportRequested({ file: "e", tenant: "t-8" }));
  await log.settled();
  await log.operator.resume("importer", { group: "t-7" });
  await log.settled();
}
// #endregion

await twoAMinute();
await onePaused();

// Output:
// import t-7 a
// depth 2 [ 'rate of t-7' ]
// import t-7 b
// import t-7 c
// import t-8 e
// import t-7 d
