/** Alerts of working processes: one of them speaks, another when it is gone; to the log and to webhooks. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { type Env, realEnv } from "../../src/env.ts";
import { type AlertRule, type App, defineApp, defineEvent, defineSubscription } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { Receiver, secret } from "../webhook/receiver.ts";
import { anotherProcess, engines, eventually, fastEnv, loggerTo, type LoggedLine, open } from "./support.ts";

const Fact = defineEvent("Fact", { schema: z.object({ id: z.string() }), key: ({ id }) => id });

/** Orders that are not mended die at once. */
function shop(alerts?: readonly AlertRule[]): { readonly app: App; readonly mend: () => void } {
  let mended = false;
  const work = defineSubscription("work", { on: Fact, retry: { attemptsMax: 1 } }, () => {
    if (!mended) throw new Error("no paper");
  });
  const other = defineSubscription("other", { on: Fact }, () => {});
  const app = defineApp({ name: "shop", subscriptions: [work, other], ...(alerts === undefined ? {} : { alerts }) });
  return { app, mend: () => (mended = true) };
}
const of = (lines: readonly LoggedLine[], pattern: RegExp): LoggedLine[] =>
  lines.filter(({ message }) => pattern.test(message));
/** Ends the process that lives in it: nothing of it runs any more. */
function mortal(): { readonly env: Env; readonly kill: () => void } {
  let alive = true;
  const env = {
    ...anotherProcess(),
    after: ((delayMs, task, options) =>
      realEnv.after(delayMs, () => alive && task(), options)) satisfies typeof realEnv.after,
    soon: (task: () => void) => realEnv.soon(() => alive && task()),
  };
  return { env, kill: () => (alive = false) };
}

for (const { name, fresh } of engines) {
  test(`${name}: dead letters are told of in the log, without a word in the app; their end too`, async () => {
    const lines: LoggedLine[] = [];
    await using log = await open(fresh(), { env: fastEnv(10), logger: loggerTo(lines) });
    const { app, mend } = shop();
    await using worker = await log.work(app);
    await log.publish(Fact({ id: "a" }));
    await eventually("it fires", () => of(lines, /^dead-letters: work has 1 dead letter /).length === 1);
    const [line] = of(lines, /^dead-letters/);
    assert.equal(line?.level, "warn");
    assert.match(line.message, /see docs\/operating\/alerts\/dead\.md$/);
    mend();
    await log.operator.redrive({}, { confirm: 1 });
    await eventually("it is over", () => of(lines, /^dead-letters is over: work$/).length === 1);
    assert.equal(of(lines, /^dead-letters/).length, 2);
    await worker.stop();
  });
}

test("a short run tells of what it leaves behind", async () => {
  const lines: LoggedLine[] = [];
  await using log = await open(engines[1]!.fresh(), { logger: loggerTo(lines) });
  const { app } = shop();
  await log.drain(app);
  await log.publish(Fact({ id: "a" }));
  await log.drain(app);
  assert.equal(of(lines, /^dead-letters: work/).length, 1);
});

test("of several processes one speaks; when it is gone the next tells again what fires", async () => {
  const engine = engines[0]!.fresh();
  const [first, second]: [LoggedLine[], LoggedLine[]] = [[], []];
  const lease = "500ms";
  const { env, kill } = mortal();
  const dying = await open(engine, { env, logger: loggerTo(first), lease });
  await dying.work(shop().app);
  let looks = 0;
  const counting: Env = {
    ...anotherProcess(),
    after: (delayMs, task, options) =>
      realEnv.after(
        delayMs,
        () => {
          if (delayMs === limits.alertEveryMs) looks++;
          task();
        },
        options,
      ),
  };
  await using log = await open(engine, { env: counting, logger: loggerTo(second), lease });
  await using worker = await log.work(shop().app);
  await log.publish(Fact({ id: "a" }));
  await eventually("the first fires", () => of(first, /^dead-letters: work/).length === 1);
  const seen = looks;
  // Two subscriptions look for due rows as often as alerts are looked at.
  await eventually("the second has looked too", () => looks >= seen + 6);
  assert.deepEqual(of(second, /^dead-letters/), []);
  kill();
  await eventually("the second fires", () => of(second, /^dead-letters: work/).length === 1);
  assert.equal(of(first, /^dead-letters/).length, 1);
  await worker.stop();
});

test("a process that works on another app does not silence this one", async () => {
  const engine = engines[0]!.fresh();
  await using log = await open(engine);
  const strange = defineSubscription("strange", { on: Fact }, () => {});
  await using stranger = await log.work(defineApp({ name: "strange", subscriptions: [strange] }));
  const lines: LoggedLine[] = [];
  await using ours = await open(engine, { logger: loggerTo(lines) });
  await using worker = await ours.work(shop().app);
  await ours.publish(Fact({ id: "a" }));
  await eventually("it fires", () => of(lines, /^dead-letters: work/).length === 1);
  await worker.stop();
  await stranger.stop();
});

test("two workers of one app in one process speak once", async () => {
  const lines: LoggedLine[] = [];
  await using log = await open(engines[1]!.fresh(), { logger: loggerTo(lines) });
  const { app } = shop();
  await using one = await log.work(app, { only: ["work"] });
  await using two = await log.work(app, { only: ["other"] });
  await log.publish(Fact({ id: "a" }));
  await eventually("it fires", () => of(lines, /^dead-letters: work/).length === 1);
  await one.stop();
  await two.stop();
  assert.equal(of(lines, /^dead-letters/).length, 1);
});

function alertsOn(t: TestContext): Record<string, unknown>[] {
  const told: Record<string, unknown>[] = [];
  const listener = (message: unknown): void => void told.push(message as Record<string, unknown>);
  subscribe("factlog:alert", listener);
  t.after(() => unsubscribe("factlog:alert", listener));
  return told;
}

test("a webhook gets the alert, signed; a receiver that is broken holds nothing up", async (t) => {
  const told = alertsOn(t);
  const good = await Receiver.listen(t, (response) => response.end());
  const bad = await Receiver.listen(t, (response) => response.writeHead(500).end());
  const to = [good, bad].map(({ url }) => ({ webhook: url, secret, allowPrivate: true }));
  const lines: LoggedLine[] = [];
  await using log = await open(engines[1]!.fresh(), { logger: loggerTo(lines) });
  const { app } = shop([{ name: "blocked", when: "blocked", subscription: "work", to }]);
  await using worker = await log.work(app);
  await log.publish(Fact({ id: "a" }));
  await eventually("both got it", () => good.received.length === 1 && bad.received.length > 0);
  const { type, data } = good.received[0]!.body;
  assert.equal(type, "factlog.alert.firing");
  assert.deepEqual(
    [data["alert"], data["app"], data["subscription"], data["value"], data["runbook"]],
    ["blocked", "shop", "work", 1, "docs/operating/alerts/blocked.md"],
  );
  assert.ok(!JSON.stringify(data).includes("whsec_"));
  assert.deepEqual(
    told.map(({ alert, status }) => [alert, status]),
    [["blocked", "firing"]],
  );
  await worker.stop();
  const [given] = of(lines, /webhook was given up/);
  assert.match(JSON.stringify(given?.fields), /"to":"http:\/\/127\.0\.0\.1:\d+".*it answered 500/);
  assert.ok(!JSON.stringify(lines).includes("whsec_"));
});

test("bounds that alerts lean on agree", () => {
  assert.ok(limits.alertEveryMs < limits.alertResolveMs && limits.alertEveryMs < limits.alertStalledMs);
  assert.ok(limits.webhookTimeoutMs <= limits.closeGraceMs && limits.webhookTimeoutMs < limits.graceMs);
});
