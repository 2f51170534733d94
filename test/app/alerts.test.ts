/** Rules of alerts: what is taken, what is refused and how it is said; a secret is never shown. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { appSpecOf } from "../../src/app/app.ts";
import { type AlertRule, defineApp, defineEvent, defineSubscription, FactlogError } from "../../src/index.ts";

const Fact = defineEvent("Fact", { schema: z.object({}) });
const work = defineSubscription("work", { on: Fact }, () => {});
const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const specsOf = (alerts?: readonly AlertRule[]): ReturnType<typeof appSpecOf>["alerts"] =>
  appSpecOf(defineApp({ name: "shop", subscriptions: [work], ...(alerts === undefined ? {} : { alerts }) })).alerts;

function refusalOf(rule: unknown): string {
  let message = "";
  assert.throws(
    () => specsOf([rule as AlertRule]),
    (error: FactlogError) => {
      ({ message } = error);
      assert.ok(error instanceof FactlogError && ["INVALID_DEFINITION", "INVALID_ATTRIBUTE"].includes(error.code));
      return true;
    },
  );
  return message;
}

test("without a word dead letters warn in the log; an empty list is none", () => {
  assert.deepEqual(specsOf(), [
    { name: "dead-letters", when: "dead", subscription: undefined, above: 0, forMs: 0, to: ["log"] },
    { name: "outage", when: "degraded", subscription: undefined, above: 0, forMs: 0, to: ["log"] },
  ]);
  assert.deepEqual(specsOf([]), []);
});

test("rules are resolved with their defaults", () => {
  const rules: AlertRule[] = [
    { name: "late", when: "lag", above: "5m", for: "30s", subscription: "work", to: ["stderr"] },
    { name: "deep", when: "depth", above: 1000 },
    { name: "blocked", when: "blocked" },
    { name: "failing", when: "error-rate", above: 0.2 },
    { name: "still", when: "stalled", to: [{ webhook: "https://alerts.example.com/x", secret }, "log"] },
  ];
  assert.deepEqual(
    specsOf(rules).map(({ when, above, forMs, subscription }) => [when, above, forMs, subscription]),
    [
      ["lag", 300_000, 30_000, "work"],
      ["depth", 1000, 0, undefined],
      ["blocked", 0, 0, undefined],
      ["error-rate", 0.2, 0, undefined],
      ["stalled", undefined, 60_000, undefined],
    ],
  );
});

const bad: readonly (readonly [rule: unknown, message: RegExp])[] = [
  [null, /^app shop: alerts holds something that is no rule\.$/],
  [{ when: "dead" }, /^alert name is undefined/],
  [{ name: "x", when: "budget" }, /alert x: when is "budget": choose among lag, depth, dead/],
  [{ name: "x", when: "lag" }, /alert x: above is missing: give a duration, such as "5m"/],
  [{ name: "x", when: "lag", above: "5 minutes" }, /alert x: above is "5 minutes": give milliseconds/],
  [{ name: "x", when: "depth" }, /alert x: above is of type undefined: give a whole number/],
  [{ name: "x", when: "dead", above: -1 }, /alert x: above is -1/],
  [{ name: "x", when: "dead", above: "5m" }, /alert x: above is "5m": give a whole number/],
  [{ name: "x", when: "error-rate", above: 20 }, /alert x: above is 20: give a part from 0 to below 1/],
  [{ name: "x", when: "stalled", above: 3 }, /alert x: above means nothing for "stalled"/],
  [{ name: "x", when: "stalled", for: 10 }, /alert x: for is too short/],
  [{ name: "x", when: "dead", for: "soon" }, /alert x: for is "soon"/],
  [{ name: "x", when: "dead", subscription: "wrok" }, /alert x: the app has no subscription "wrok": it has work/],
  [{ name: "x", when: "dead", over: 3 }, /alert x: over is no option; choose among name, when/],
  [{ name: "x", when: "dead", to: [] }, /alert x: to is no list of 1 to 16 targets/],
  [{ name: "x", when: "dead", to: ["mail"] }, /alert x: to holds "mail": give "log", "stderr" or/],
];
for (const [rule, message] of bad)
  test(`refused: ${JSON.stringify(rule)}`, () => assert.match(refusalOf(rule), message));

test("refused: two rules of one name, and more than a hundred", () => {
  const rule: AlertRule = { name: "x", when: "dead" };
  assert.throws(() => specsOf([rule, rule]), /two alerts are named x/);
  assert.throws(
    () => specsOf(Array.from({ length: 101 }, (_, i) => ({ ...rule, name: `${i}` }))),
    /more than 100 rules/,
  );
});

const to = (webhook: string, more: object = {}): unknown => ({
  name: "x",
  when: "dead",
  to: [{ webhook, secret, ...more }],
});

test("a webhook's address is refused where it leads to this machine or a private network, however it is written", () => {
  const disguises = `127.0.0.1 2130706433 0177.0.0.1 0x7f.1 127.1 １２７.0.0.1 0 10.0.0.8 169.254.169.254 192.168.1.1
    172.31.0.1 100.64.0.1 [::1] [::] [::ffff:7f00:1] [64:ff9b::a00:1] [2002:7f00:1::] [fd00::1] [fe80::1]`.split(/\s+/);
  for (const host of disguises)
    assert.match(refusalOf(to(`https://${host}/`)), /leads to, an address on this machine/, host);
  const shapes: readonly (readonly [url: string, message: RegExp])[] = [
    ["http://alerts.example.com/", /webhook is http:: give https/],
    ["file:///etc/passwd", /webhook is file:/],
    ["gopher://example.com/", /webhook is gopher:/],
    ["https://user:pass@example.com/", /holds a user name or password/],
    ["https://example.com\\@127.0.0.1/", /webhook is no URL/],
    ["https://exa\tmple.com/", /webhook is no URL/],
    ["example.com", /webhook is no URL/],
  ];
  for (const [url, message] of shapes) assert.match(refusalOf(to(url)), message, url);
  assert.equal(specsOf([to("http://127.0.0.1:9000/", { allowPrivate: true }) as AlertRule]).length, 1);
});

test("a secret that is none is refused, and not shown", () => {
  for (const wrong of ["whsec_", "hunter2hunter2hunter2hunter2hunt", "whsec_c2hvcnQ=", undefined]) {
    const message = refusalOf(to("https://example.com/", { secret: wrong }));
    assert.match(message, /secret is none/);
    assert.ok(!message.includes("hunter2") && !message.includes("c2hvcnQ"));
  }
});
