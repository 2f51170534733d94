import assert from "node:assert/strict";
import { test } from "node:test";
import { memory } from "../../src/engines/memory/index.ts";
import { type AppSpec, appSpecOf } from "../../src/app/app.ts";
import { defineApp, defineSchedule, type ScheduleOptions } from "../../src/index.ts";
import { openTestLog, type TestLog } from "../../src/testing/test-log.ts";
import { VirtualEnv } from "../../src/testing/virtual-env.ts";
import { Order } from "./support.ts";

const hour = 3_600_000;
const newYear = Date.UTC(2026, 0, 1);

function appWith(
  options: ScheduleOptions,
  event = ({ at }: { at: Date }) => Order({ key: at.toISOString(), n: 1 }),
): AppSpec {
  return appSpecOf(
    defineApp({
      name: "t",
      events: [Order],
      subscriptions: [],
      schedules: [defineSchedule<typeof Order>("s", options, event)],
    }),
  );
}
const ticksOf = async (log: TestLog): Promise<readonly string[]> =>
  (await log.eventsOf(Order)).map((event) => event.data.key.slice(0, 16));

test("a schedule states a fact at each tick, with the tick's time", async () => {
  await using log = await openTestLog(appWith({ every: "6h" }), memory(), new VirtualEnv(newYear + hour));
  await log.advance("1d");
  assert.deepEqual(await ticksOf(log), [
    "2026-01-01T06:00",
    "2026-01-01T12:00",
    "2026-01-01T18:00",
    "2026-01-02T00:00",
  ]);
  const [first] = await log.eventsOf(Order);
  assert.equal(first?.time.getTime(), newYear + 6 * hour);
});

test("over all processes each tick is one fact", async () => {
  const store = memory();
  const env = new VirtualEnv(newYear);
  await using a = await openTestLog(appWith({ every: "1h" }), store, env);
  await using b = await openTestLog(appWith({ every: "1h" }), store, env);
  await a.advance("10h");
  await b.settled();
  assert.equal((await a.events()).length, 10);
});

for (const [missed, expected] of [
  ["skip", []],
  ["once", ["2026-01-03T00:00"]],
  ["all", ["2026-01-01T12:00", "2026-01-02T00:00", "2026-01-02T12:00", "2026-01-03T00:00"]],
] as const) {
  test(`ticks that nobody was there for: ${missed}`, async () => {
    const store = memory();
    const first = await openTestLog(appWith({ every: "12h", missed }), store, new VirtualEnv(newYear + 1));
    await first.settled();
    await first.close();
    await using later = await openTestLog(
      appWith({ every: "12h", missed }),
      store,
      new VirtualEnv(newYear + 50 * hour),
    );
    await later.settled();
    assert.deepEqual(await ticksOf(later), expected);
  });
}

test("cron runs by the clock of its place: a day of 23 hours and one of 25 have one tick each", async () => {
  const daily = { cron: "30 2 * * *", timeZone: "Europe/Berlin" };
  await using spring = await openTestLog(appWith(daily), memory(), new VirtualEnv(Date.UTC(2026, 2, 28, 12)));
  await spring.advance("3d");
  // 02:30 does not exist on 29 March: the tick comes when the clocks have gone from 02:00 to 03:00.
  assert.deepEqual(await ticksOf(spring), ["2026-03-29T01:00", "2026-03-30T00:30", "2026-03-31T00:30"]);
  await using autumn = await openTestLog(appWith(daily), memory(), new VirtualEnv(Date.UTC(2026, 9, 24, 12)));
  await autumn.advance("3d");
  // 02:30 comes twice on 25 October.
  assert.deepEqual(await ticksOf(autumn), ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"]);
});

test("a schedule whose event cannot be made is tried again, and loses no tick", async () => {
  let broken = true;
  const event = ({ at }: { at: Date }) => {
    if (broken) throw new Error("not yet");
    return Order({ key: at.toISOString(), n: 1 });
  };
  await using log = await openTestLog(appWith({ every: "1h" }, event), memory(), new VirtualEnv(newYear + 1));
  await log.advance("1h");
  assert.deepEqual(await ticksOf(log), []);
  broken = false;
  await log.advance("11s");
  assert.deepEqual(await ticksOf(log), ["2026-01-01T01:00"]);
});

test("definitions that cannot be are refused", () => {
  const event = ({ at }: { at: Date }) => Order({ key: at.toISOString(), n: 1 });
  const refused = { code: "INVALID_DEFINITION" };
  for (const options of [
    { cron: "0 0 30 2 *", timeZone: "UTC" },
    { cron: "nonsense", timeZone: "UTC" },
    { cron: "0 0 * * *", timeZone: "Mars/Olympus" },
    { cron: "0 0 * * *" },
    { every: "10ms" },
    { every: "1h", missed: "sometimes" },
    {},
  ])
    assert.throws(() => defineSchedule("s", options as ScheduleOptions, event), refused);
  const schedule = defineSchedule("s", { every: "1h" }, event);
  assert.throws(() => defineApp({ name: "t", subscriptions: [], schedules: [schedule, schedule] }), refused);
  assert.throws(() => defineApp({ name: "t", subscriptions: [], schedules: [{} as typeof schedule] }), refused);
});
