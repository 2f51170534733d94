/** The pages that alerts name: there is one for each, its commands do what they say, and its metrics exist. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { resolveAlerts } from "../../src/app/alerts.ts";
import { type AlertRule, defineApp, defineEvent, defineSubscription, NonRetryable, openLog } from "../../src/index.ts";
import { Alerts } from "../../src/observe/alerts.ts";
import { factlog, shopFolder } from "../support/cli.ts";
import { noPromtool } from "../support/prometheus.ts";
import { filesMatching } from "../support/source.ts";
import { blocksOf } from "./markdown.ts";

const folder = "docs/operating/alerts";
const pages = filesMatching(`${folder}/*.md`);
const rules: readonly AlertRule[] = [
  { name: "lag", when: "lag", above: 0 },
  { name: "depth", when: "depth", above: 0 },
  { name: "dead", when: "dead" },
  { name: "blocked", when: "blocked" },
  { name: "error-rate", when: "error-rate", above: 0 },
  { name: "stalled", when: "stalled", for: "1s" },
  { name: "degraded", when: "degraded" },
];

test("the text of every alert names a page that is there, and every page has its alert", () => {
  const alerts = new Alerts("shop", resolveAlerts("shop", rules, ["warehouse"]));
  const outage = { since: new Date(0), error: "503" };
  const counts = { depth: 1, pending: 1, lagMs: 1, dead: 1, closed: 0, blockedKeys: 1, errorRate: 1 };
  const bad = { ...counts, outage, sampledAt: new Date(0) };
  for (const nowMs of [0, 1000, 2000]) alerts.update([{ name: "warehouse", ...bad }], nowMs);
  const told = alerts.tell(true, 2000, new Date(0));
  for (const { message, runbook } of told)
    assert.ok(existsSync(runbook) && message.endsWith(`see ${runbook}`), message);
  assert.deepEqual(told.map(({ runbook }) => runbook).toSorted(), pages.toSorted());
});

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), sku: z.string() }),
  key: ({ orderId }) => orderId,
  id: ({ orderId }) => orderId,
});

/** The log of the template's app in which all is wrong at once: dead letters, blocked keys, a backlog and no worker. */
async function folderInTrouble(t: TestContext): Promise<string> {
  const cwd = shopFolder(t);
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  await using log = await openLog(`sqlite:${join(cwd, "factlog.db")}`, { source: "shop", logger: silent });
  const warehouse = defineSubscription("warehouse", { on: OrderPlaced }, () => {
    throw new NonRetryable("no such shelf");
  });
  const app = defineApp({ name: "shop", subscriptions: [warehouse] });
  await log.drain(app);
  const orders = Array.from({ length: 4 }, (_, i) => OrderPlaced({ orderId: `o-${i}`, sku: "cd" }));
  await log.publishAll(orders.slice(0, 2));
  await log.drain(app);
  await log.publishAll(orders.slice(2));
  return cwd;
}

for (const page of pages) {
  test(`${page}: its commands run as they stand, and those that mend, mend`, async (t) => {
    const text = readFileSync(page, "utf8");
    assert.deepEqual(text.match(/^## .+$/gm), ["## What it means", "## Look", "## Mend"]);
    const commands = blocksOf(page)
      .filter(({ language }) => language === "sh")
      .flatMap((block) => block.text.split("\n"));
    assert.ok(commands.length >= 4);
    const cwd = await folderInTrouble(t);
    const before = await factlog(t, ["status", "--json"], { cwd });
    for (const command of commands) {
      const [npx, program, ...args] = command.split(" ");
      assert.deepEqual([npx, program], ["npx", "factlog"], command);
      const { code, stderr } = await factlog(t, args, { cwd });
      assert.equal(code, 0, `${command}: ${stderr}`);
    }
    const owed = ({ stdout }: { stdout: string }): unknown[] => {
      const [each] = (JSON.parse(stdout) as { subscriptions: { depth: number; dead: number }[] }).subscriptions;
      return [each?.depth, each?.dead];
    };
    assert.deepEqual(owed(before), [2, 2]);
    assert.notDeepEqual(owed(await factlog(t, ["status", "--json"], { cwd })), [2, 2]);
  });
}

const rulesFile = "docs/operating/prometheus/rules.yml";
const dashboardFile = "docs/operating/prometheus/grafana.json";
const namesIn = (text: string): string[] => [...new Set(text.match(/\bfactlog_[a-z_]+/g))];

interface Panel {
  readonly id: number;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string }[];
}

test("rules and dashboard use metrics that there are, and name pages that there are", async () => {
  await using log = await openLog("memory:");
  const work = defineSubscription("warehouse", { on: OrderPlaced }, (event) => {
    if (event.data.sku !== "cd") throw new NonRetryable("never");
  });
  const app = defineApp({ name: "shop", subscriptions: [work], alerts: [] });
  await log.drain(app);
  await log.metrics();
  await log.publish(OrderPlaced({ orderId: "o-1", sku: "cd" }));
  await log.drain(app);
  const known = new Set(namesIn(await log.metrics()));
  const shown = namesIn(readFileSync(rulesFile, "utf8") + readFileSync(dashboardFile, "utf8"));
  assert.ok(shown.length > 8);
  assert.deepEqual(
    shown.filter((name) => !known.has(name)),
    [],
  );
  const runbooks = [...readFileSync(rulesFile, "utf8").matchAll(/runbook: (\S+)/g)].map(([, path = ""]) => path);
  assert.ok(runbooks.length >= pages.length && runbooks.every((path) => existsSync(path)));
});

test("the dashboard's panels have ids of their own and stand beside each other", () => {
  const { panels } = JSON.parse(readFileSync(dashboardFile, "utf8")) as { readonly panels: readonly Panel[] };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const overlap = panels.flatMap((a, i) =>
    panels.slice(i + 1).filter(({ gridPos: b }) => {
      const { x, y, w, h } = a.gridPos;
      return x < b.x + b.w && b.x < x + w && y < b.y + b.h && b.y < y + h;
    }),
  );
  assert.deepEqual(overlap, []);
});

test("promtool takes the rules", { skip: noPromtool }, () => {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", rulesFile], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});
