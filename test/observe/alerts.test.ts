/** When alerts fire, when they are over, and who tells of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { appSpecOf } from "../../src/app/app.ts";
import { type AlertRule, defineApp, defineEvent, defineSubscription } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { Alerts, type Measured } from "../../src/observe/alerts.ts";
import { z } from "zod";

const Fact = defineEvent("Fact", { schema: z.object({}) });
const subscriptions = ["a", "b"].map((name) => defineSubscription(name, { on: Fact }, () => {}));

const calm: Measured = {
  name: "a",
  depth: 0,
  pending: 0,
  lagMs: 0,
  dead: 0,
  closed: 0,
  blockedKeys: 0,
  errorRate: undefined,
  outage: undefined,
  sampledAt: new Date(60_000),
};

/** Alerts on a clock of its own; `look` answers what is told. */
class Watch {
  readonly alerts: Alerts;
  nowMs = 0;
  speaking = true;
  constructor(...rules: readonly AlertRule[]) {
    this.alerts = new Alerts("test", appSpecOf(defineApp({ name: "test", subscriptions, alerts: rules })).alerts);
  }
  look(afterMs: number, ...measured: readonly Partial<Measured>[]): string[] {
    this.nowMs += afterMs;
    this.alerts.update(
      measured.map((each) => ({ ...calm, ...each })),
      this.nowMs,
    );
    const news = this.alerts.tell(this.speaking, this.nowMs, new Date(this.nowMs));
    return news.map(({ status, alert, subscription }) => `${status} ${alert} ${subscription}`);
  }
}
const resolveMs = limits.alertResolveMs;

test("an alert is told once when it begins, and once when its condition has not held for a while", () => {
  const watch = new Watch({ name: "dead", when: "dead" });
  assert.deepEqual(watch.look(0, {}), []);
  assert.deepEqual(watch.look(1000, { dead: 1 }), ["firing dead a"]);
  assert.deepEqual(watch.look(1000, { dead: 2 }), []);
  assert.deepEqual(watch.look(1000, {}), [], "it may come again at once");
  assert.deepEqual(watch.look(1000, { dead: 1 }), [], "and is the same alert");
  assert.deepEqual(watch.look(resolveMs - 1, {}), []);
  assert.deepEqual(watch.look(1, {}), ["resolved dead a"]);
  assert.deepEqual(watch.look(1000, { dead: 1 }), ["firing dead a"]);
});

test("a condition has to hold for as long as the rule says, without a break", () => {
  const watch = new Watch({ name: "late", when: "lag", above: "10s", for: "1m" });
  assert.deepEqual(watch.look(0, { lagMs: 11_000 }), []);
  assert.deepEqual(watch.look(59_000, { lagMs: 70_000 }), []);
  assert.deepEqual(watch.look(1000, { lagMs: 10_000 }), []);
  assert.deepEqual(watch.look(1000, { lagMs: 11_000 }), []);
  assert.deepEqual(watch.look(59_999, { lagMs: 11_000 }), []);
  assert.deepEqual(watch.look(1, { lagMs: 11_000 }), ["firing late a"]);
});

test("each subscription is looked at by itself; a rule may name one", () => {
  const watch = new Watch(
    { name: "deep", when: "depth", above: 5 },
    { name: "b-only", when: "blocked", subscription: "b" },
  );
  const both = [
    { name: "a", depth: 6, blockedKeys: 1 },
    { name: "b", depth: 5, blockedKeys: 1 },
  ];
  assert.deepEqual(watch.look(0, ...both), ["firing deep a", "firing b-only b"]);
});

test("an error rate fires above its bound, and not where nothing ended", () => {
  const watch = new Watch({ name: "failing", when: "error-rate", above: 0.5 });
  assert.deepEqual(watch.look(0, { errorRate: undefined }), []);
  assert.deepEqual(watch.look(1000, { errorRate: 0.5 }), []);
  assert.deepEqual(watch.look(1000, { errorRate: 0.51 }), ["firing failing a"]);
});

test("stalled: something is pending and nothing was begun, settled or put aside", () => {
  const watch = new Watch({ name: "still", when: "stalled", for: "10s" });
  assert.deepEqual(watch.look(0, { pending: 3, depth: 3 }), []);
  assert.deepEqual(watch.look(1000, { pending: 4, depth: 4 }), [], "more came, nothing was done");
  assert.deepEqual(watch.look(9_000, { pending: 4, depth: 5 }), [], "one became a row: it moves");
  assert.deepEqual(watch.look(9_000, { pending: 4, depth: 5 }), []);
  assert.deepEqual(watch.look(9_999, { pending: 4, depth: 5 }), []);
  assert.deepEqual(watch.look(1, { pending: 5, depth: 6 }), ["firing still a"]);
  assert.deepEqual(watch.look(resolveMs, { pending: 0, depth: 1, closed: 5 }), ["resolved still a"]);
});

test("who does not speak keeps watch, and tells what fires when it begins to speak", () => {
  const watch = new Watch({ name: "late", when: "lag", above: "1s", for: "1m" });
  watch.speaking = false;
  watch.look(0, { lagMs: 2000 });
  assert.deepEqual(watch.look(60_000, { lagMs: 62_000 }), []);
  watch.speaking = true;
  assert.deepEqual(watch.look(1000, { lagMs: 63_000 }), ["firing late a"], "without waiting another minute");
  watch.speaking = false;
  assert.deepEqual(watch.look(1000, {}), []);
  watch.speaking = true;
  assert.deepEqual(watch.look(resolveMs, {}), ["resolved late a"], "whoever spoke before may have told that it fires");
});

test("a subscription that is gone is forgotten", () => {
  const watch = new Watch({ name: "dead", when: "dead" });
  assert.deepEqual(watch.look(0, { dead: 1 }), ["firing dead a"]);
  assert.deepEqual(watch.look(1000), []);
  assert.deepEqual(watch.look(1000, { dead: 1 }), ["firing dead a"]);
});
