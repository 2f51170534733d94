/** The example shop, run as a newcomer runs it; its totals are computed here once more. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import type { DrillSummary } from "../../examples/shop/drill-summary.ts";
import { InputError, parsePurchases } from "../../examples/shop/input.ts";
import type { Summary } from "../../examples/shop/summary.ts";

const shop = join(import.meta.dirname, "../../examples/shop");
const folder = mkdtempSync(join(tmpdir(), "factlog-shop-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
function start(...args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ["--conditions=@factlog/source", join(shop, "main.ts"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}
async function run(...args: readonly string[]): Promise<Ended> {
  const child = start(...args);
  const code = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  return { code: await code, stdout, stderr };
}
async function summaryOf<S extends Summary>(...args: readonly string[]): Promise<S> {
  const { code, stdout, stderr } = await run(...args, "--once", "--json");
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  assert.equal(code, 0, `${stderr}\n${last}`);
  return JSON.parse(last) as S;
}
function fileOf(name: string, lines: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${line}\r\n`).join(""));
  return path;
}
const linesOf = (name: string): string[] =>
  readFileSync(join(shop, "data", name), "utf8")
    .split("\r\n")
    .filter((line) => line !== "");

test("both forms are read, in the order of the dates, each purchase numbered among its customer's", () => {
  const master =
    " customer_id  date number_of_cds  dollar_value\r\n 00002 19970112  5   77.00\r\n 00001 19970101  1   11.77\r\n\r\n";
  assert.deepEqual(parsePurchases(master, "m.txt"), [
    { orderId: "00001-1", customerId: "00001", date: "1997-01-01", cds: 1, cents: 1177 },
    { orderId: "00002-1", customerId: "00002", date: "1997-01-12", cds: 5, cents: 7700 },
  ]);
  const sample = " 00004 0001 19970118  2   29.73\n 00004 0001 19970101  2    0.05\n 00004 0001 19970118  2   29.73";
  assert.deepEqual(parsePurchases(sample, "s.txt"), [
    { orderId: "00004-1", customerId: "00004", date: "1997-01-01", cds: 2, cents: 5 },
    { orderId: "00004-2", customerId: "00004", date: "1997-01-18", cds: 2, cents: 2973 },
    { orderId: "00004-3", customerId: "00004", date: "1997-01-18", cds: 2, cents: 2973 },
  ]);
  assert.deepEqual(parsePurchases("", "empty.txt"), []);
});

test("the files hold what their README says", () => {
  for (const [name, purchases, customers, cds, cents] of [
    ["cdnow-master.txt", 69_659, 23_570, 167_881, 250_031_563],
    ["cdnow-sample.txt", 6_919, 2_357, 16_479, 24_409_194],
  ] as const) {
    const read = parsePurchases(readFileSync(join(shop, "data", name), "utf8"), name);
    const sum = (of: "cds" | "cents"): number => read.reduce((total, purchase) => total + purchase[of], 0);
    const distinct = new Set(read.map((purchase) => purchase.customerId)).size;
    assert.deepEqual([read.length, distinct, sum("cds"), sum("cents")], [purchases, customers, cds, cents]);
    assert.equal(new Set(read.map((purchase) => purchase.orderId)).size, purchases);
  }
});

test("a malformed line is refused by its number", () => {
  const good = " 00001 19970101  1   11.77";
  for (const bad of [
    " 00001 19970101  1",
    " 00001 19970231  1   11.77",
    " 00001 1997010  1   11.77",
    " 00001 19970101  one 11.77",
    " 00001 19970101  1   11.777",
    " 00001 19970101  1  -11.77",
    " 00001 0001 19970101  1   11.77",
    "what?",
  ]) {
    assert.throws(
      () => parsePurchases(`${good}\r\n${bad}\r\n${good}`, "in.txt"),
      (error) => error instanceof InputError && error.message.startsWith("in.txt, line 2: expected"),
      bad,
    );
  }
});

/** mulberry32 */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rows dropped, doubled, moved, and their prices changed; with the totals that must come out. */
function mutated(lines: readonly string[], seed: number): { readonly lines: string[]; readonly totals: object } {
  const random = chance(seed);
  const out: string[] = [];
  let [cds, cents] = [0, 0];
  for (const line of lines) {
    const price = Math.floor(random() * 20_000);
    const row =
      random() < 0.3 ? `${line.slice(0, 24)} ${Math.floor(price / 100)}.${`${price % 100}`.padStart(2, "0")}` : line;
    const copies = [0, 1, 1, 1, 2][Math.floor(random() * 5)] ?? 1;
    for (let copy = 0; copy < copies; copy++) out.splice(Math.floor(random() * (out.length + 1)), 0, row);
    const [, , , discs = "", dollars = ""] = row.trim().split(/ +/);
    cds += copies * Number(discs);
    cents += copies * Math.round(Number(dollars) * 100);
  }
  return { lines: out, totals: { purchases: out.length, cds, cents, dollars: cents / 100 } };
}

for (const [how, ...flags] of [["in one process"], ["in a process for each part", "--processes"]] as const) {
  test(`a mutated copy of the sample gives the totals that it has, ${how}`, async (t) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    t.diagnostic(`seed ${seed}`);
    const { lines, totals } = mutated(linesOf("cdnow-sample.txt").slice(0, 400), seed);
    const summary = await summaryOf("--input", fileOf(`mutated${flags.length}.txt`, lines), ...flags);
    const { purchases, cds, cents, dollars } = summary;
    assert.deepEqual({ purchases, cds, cents, dollars }, totals);
    assert.deepEqual(summary.expected, totals);
    const { ok, faults, events, deliveries, distinctEffects, repeatedCalls } = summary;
    assert.deepEqual(
      { ok, faults, events, deliveries, distinctEffects, repeatedCalls },
      {
        ok: true,
        faults: [],
        events: 4 * purchases,
        deliveries: 9 * purchases,
        distinctEffects: 4 * purchases,
        repeatedCalls: 0,
      },
    );
    const { lost, duplicateEffects, orderViolations, dead, conservation, dailyTotalsExact } = summary;
    assert.deepEqual(
      { lost, duplicateEffects, orderViolations, dead, conservation, dailyTotalsExact },
      { lost: 0, duplicateEffects: 0, orderViolations: 0, dead: 0, conservation: true, dailyTotalsExact: true },
    );
  });
}

test("the drill: everything breaks, and nothing is lost, doubled or out of order", async () => {
  const lines = linesOf("cdnow-sample.txt").slice(0, 500);
  const summary = await summaryOf<DrillSummary>("--drill", "--input", fileOf("drill.txt", lines));
  const { ok, lost, duplicateEffects, orderViolations, dead, conservation, purchases } = summary;
  assert.deepEqual(
    { ok, lost, duplicateEffects, orderViolations, dead, conservation, purchases },
    { ok: true, lost: 0, duplicateEffects: 0, orderViolations: 0, dead: 0, conservation: true, purchases: 500 },
  );
  assert.deepEqual([summary.events, summary.deliveries, summary.distinctEffects], [2_000, 5_000, 2_000]);
  assert.equal(summary.publishedAgain, 500);
  assert.equal(summary.kills.length, 3);
  assert.equal(new Set(summary.kills.map((kill) => kill.pid)).size, 3);
  for (const kill of summary.kills) assert.ok(kill.redelivered >= 1, JSON.stringify(kill));
  const redelivered = summary.kills.reduce((sum, kill) => sum + kill.redelivered, 0);
  assert.ok(
    summary.repeatedCalls >= redelivered && summary.repeatedCalls <= summary.repeatedCallsMax,
    `${summary.repeatedCalls}`,
  );
  const shares = Object.values(summary.shareByPid);
  assert.ok(shares.filter((share) => share >= 0.2).length >= 2, JSON.stringify(shares));
  assert.ok(summary.maxKeysInFlight >= 4, `${summary.maxKeysInFlight}`);
  assert.ok(summary.backlog > 0 && summary.poison.dead > 0);
  assert.equal(summary.poison.dead, summary.poison.expected);
  assert.equal(summary.poison.redriven, summary.poison.dead);
  assert.deepEqual([summary.deadFromOutage, summary.attemptsBurnt], [0, 0]);
  assert.deepEqual([summary.dailyTotalsExact, summary.salesGeneration], [true, 2]);
  assert.deepEqual(summary.forecast, { facts: 500, distinct: 500, same: true });
});

test("without --once it goes on selling until it is interrupted, and then leaves nothing behind", async () => {
  const child = start("--input", fileOf("live.txt", linesOf("cdnow-master.txt").slice(0, 21)));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let log = "";
  for await (const line of createInterface({ input: child.stdout! })) {
    log = /sqlite:(\S+)/.exec(line)?.[1] ?? log;
    if (line.includes("visitor-2 placed")) child.kill("SIGINT");
  }
  assert.equal(await exit, 0);
  assert.ok(log.endsWith("shop.db") && !existsSync(log), log);
});

test("bad input and unknown flags are refused in one line", async () => {
  const refused = await Promise.all([
    run("--once", "--input", fileOf("bad.txt", [" 00001 19970101  1   11.77", "oops"])),
    run("--once", "--input", join(folder, "nowhere.txt")),
    run("--drill", "--once", "--input", fileOf("small.txt", linesOf("cdnow-sample.txt").slice(0, 20))),
    run("--twice"),
  ]);
  const messages = [
    /bad\.txt, line 2: expected .+, found "oops"/,
    /nowhere\.txt cannot be read/,
    /needs 300 purchases/,
    /--twice/,
  ];
  for (const [i, { code, stderr }] of refused.entries()) {
    assert.equal(code, 2, stderr);
    assert.match(stderr.split("\n")[0] ?? "", messages[i] as RegExp);
    assert.doesNotMatch(stderr, /the log is/, "nothing was begun");
  }
});
