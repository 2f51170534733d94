/** The text that Prometheus reads: its escaping, its lines, and that promtool finds nothing to say of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, NonRetryable } from "../../src/index.ts";
import { exposition } from "../../src/observe/exposition.ts";
import { engines, open } from "../runtime/support.ts";
import { noPromtool, samplesIn } from "../support/prometheus.ts";

const odd = 'a "b" \\ {c="d"},=\u{1f4e6}';
const Odd = defineEvent(odd, { schema: z.object({ n: z.number() }), key: ({ n }) => String(n) });

test("labels, help and numbers are written as the format wants them", () => {
  const text = exposition([
    {
      name: "a_total",
      type: "counter",
      help: 'line\none \\ "two"',
      samples: [{ labels: { x: 'q"\\\n' }, value: 1e21 }],
    },
    {
      name: "b",
      type: "gauge",
      help: "b",
      samples: [Number.NaN, Infinity, -Infinity, 0.25].map((value) => ({ labels: {}, value })),
    },
    { name: "none", type: "gauge", help: "left out", samples: [] },
  ]);
  assert.equal(
    text,
    [
      '# HELP a_total line\\none \\\\ "two"',
      "# TYPE a_total counter",
      'a_total{x="q\\"\\\\\\n"} 1e+21',
      "# HELP b b",
      "# TYPE b gauge",
      "b NaN",
      "b +Inf",
      "b -Inf",
      "b 0.25",
      "",
    ].join("\n"),
  );
  assert.deepEqual(samplesIn(text)[0], { name: "a_total", labels: { x: 'q"\\\n' }, value: 1e21 });
});

async function measured(): Promise<string> {
  await using log = await open(engines[1]!.fresh());
  const work = defineSubscription(odd, { on: Odd, retry: { backoff: [60_000] } }, ({ data }) => {
    if (data.n === 1) throw new NonRetryable("never");
    if (data.n === 2) throw new Error("not now");
  });
  const app = defineApp({ name: "test", subscriptions: [work] });
  await log.drain(app);
  await log.metrics();
  await log.publishAll([0, 1, 2, 1, 3].map((n) => Odd({ n })));
  await log.drain(app);
  await log.publish(Odd({ n: 4 }));
  return await log.metrics();
}

test("a log's measures: what is stored, under the names of the subscriptions", async () => {
  const samples = samplesIn(await measured());
  const value = (name: string, labels: Record<string, string> = {}): number | undefined =>
    samples.find((each) => each.name === name && Object.entries(labels).every(([key, is]) => each.labels[key] === is))
      ?.value;
  const of = (name: string): number | undefined => value(`factlog_subscription_${name}`, { subscription: odd });
  assert.deepEqual(
    ["depth", "pending", "retrying", "held", "dead", "blocked_keys", "workers", "stopped", "in_flight"].map(of),
    [3, 1, 1, 1, 1, 1, 0, 0, 0],
  );
  assert.ok((of("lag_seconds") ?? -1) >= 0 && (of("error_ratio") ?? 0) > 0);
  assert.equal(value("factlog_subscription_closed_total", { subscription: odd, outcome: "done" }), 2);
  assert.equal(value("factlog_events_appended_total", { type: odd }), 6);
  assert.ok((value("factlog_sample_timestamp_seconds") ?? 0) > 1_700_000_000);
});

test("promtool has nothing to say of it", { skip: noPromtool }, async () => {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
    input: await measured(),
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout, stderr], [0, "", ""]);
});
