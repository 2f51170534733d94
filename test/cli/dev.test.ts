/** `factlog dev`: what it shows, and that it starts anew on a change and after a crash. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { factlog, objectsIn, order, type Ran, type Running, shopFolder, start, writeApp } from "../support/cli.ts";

const publish = (t: TestContext, cwd: string, ...orders: readonly string[]): Promise<Ran> =>
  factlog(t, ["publish", "OrderPlaced", "-"], { cwd, input: orders.join("\n") });

async function startDev(t: TestContext, cwd: string, ...args: readonly string[]): Promise<Running> {
  const dev = start(t, ["dev", "app.ts", ...args], { cwd });
  await dev.prints(/^sqlite:\.factlog\/dev\.db {2}durable \(WAL, FULL; [\d.]+ m?s a commit\)$/m);
  await dev.prints(/^warehouse on OrderPlaced {2}/m);
  return dev;
}

test("shows its log, every delivery, retries with their waits, and starts anew when the app is saved", async (t) => {
  const cwd = shopFolder(
    t,
    '  if (event.id === "o-2") throw new Error("no stock \\x1b[2J");',
    "retry: { backoff: [500] }",
  );
  const dev = await startDev(t, cwd);
  assert.equal(readFileSync(join(cwd, ".factlog/.gitignore"), "utf8"), "*\n");
  const published = await publish(t, cwd, order("o-1"));
  assert.match(published.stdout, /\(sqlite:\.factlog\/dev\.db\)\n$/);
  await dev.prints(/^OrderPlaced o-1 -> warehouse done, [\d.]+ m?s$/m);
  await publish(t, cwd, order("o-2"), order("o-3"));
  await dev.printsAll(
    /^OrderPlaced o-2 -> warehouse retry in 0\.5 s \(1\/8\): Error: no stock \\x1b\[2J$/m,
    /^OrderPlaced o-3 -> warehouse done/m,
  );
  writeApp(cwd, "", "retry: { backoff: [500] }");
  await dev.prints(/^restarted in [\d.]+ m?s \(app\.ts changed\)$/m);
  await dev.prints(/^OrderPlaced o-2 -> warehouse done at attempt \d, [\d.]+ m?s$/m);
  const { code, stdout } = await dev.end("SIGINT");
  assert.equal(code, 0);
  assert.match(stdout, /stopped\n$/);
  // oxlint-disable-next-line no-control-regex -- what must not come out
  assert.doesNotMatch(stdout, /\x1b/);
});

test("an app that does not load, or throws, is shown; the next change is awaited; imported files count", async (t) => {
  const cwd = shopFolder(t);
  writeFileSync(join(cwd, "stock.ts"), "export const stock = 1;\n");
  const app = `import { stock } from "./stock.ts";\nconsole.log("stock", stock);\n${readFileSync(join(cwd, "app.ts"), "utf8")}`;
  writeFileSync(join(cwd, "app.ts"), app);
  const dev = await startDev(t, cwd);
  writeFileSync(join(cwd, "stock.ts"), "export const stock = ;\n");
  await dev.prints(/^INVALID_DEFINITION app\.ts did not load:$/m);
  await dev.prints(/^export const stock = ;$/m);
  await dev.prints(/^waiting for a change of app\.ts$/m);
  writeFileSync(join(cwd, "stock.ts"), 'throw new Error("empty shelf");\nexport const stock = 1;\n');
  await dev.prints(/^Error: empty shelf$/m);
  await dev.prints(/^ +at .*stock\.ts:1:7\)?$/m);
  await dev.prints(/^waiting for a change/m);
  writeFileSync(join(cwd, "stock.ts"), "export const stock = 3;\n");
  await dev.prints(/^stock 3$/m);
  await dev.prints(/^restarted in /m);
  assert.doesNotMatch(dev.output, /node:internal/);
});

test("a worker that is killed is started again, and so is one that ends itself", async (t) => {
  const cwd = shopFolder(
    t,
    '  console.log("begin", event.id, process.pid, ctx.idempotencyKey("reserve"));\n  if (event.id === "o-4") await new Promise((done) => process.env.NEVER ?? setTimeout(done, 2_000));\n  if (event.data.sku === "killer") process.exit(7);',
  );
  const dev = await startDev(t, cwd);
  await publish(t, cwd, order("o-4"));
  const [, pid, key] = await dev.prints(/^begin o-4 (\d+) ([0-9a-f]+)$/m);
  process.kill(Number(pid), "SIGKILL");
  await dev.prints(/^the worker died \(SIGKILL\), starting it again in 0\.2 s$/m);
  await dev.prints(/^took over warehouse from a worker that died$/m);
  await dev.prints(new RegExp(`^begin o-4 \\d+ ${key}$`, "m"));
  await dev.prints(
    /^OrderPlaced o-4 -> warehouse done, [\d.]+ m?s \(delivered again after a worker died, same idempotency key\)$/m,
  );
  await publish(t, cwd, order("o-5", "killer"));
  await dev.prints(/^the worker died \(exit code 7\), starting it again in /m);
  writeApp(cwd, "");
  await dev.prints(/^OrderPlaced o-5 -> warehouse done/m);
});

test("dead letters are loud; --json tells the same to machines", async (t) => {
  const cwd = shopFolder(t);
  writeApp(cwd, '  throw new Error("broken");', "retry: { attemptsMax: 2, backoff: [10] }");
  const dev = start(t, ["dev", "app.ts", "--json"], { cwd });
  await dev.prints(/"kind":"started"/);
  await publish(t, cwd, order("o-1"));
  await dev.prints(/"outcome":"dead"/);
  const { stdout } = await dev.end();
  const reports = objectsIn(stdout);
  assert.deepEqual(
    reports.filter(({ kind }) => kind === "delivery").map(({ id, outcome, attempt }) => [id, outcome, attempt]),
    [
      ["o-1", "retry", 1],
      ["o-1", "dead", 2],
    ],
  );
  assert.deepEqual([reports[0]?.["kind"], reports.at(-1)?.["kind"]], ["opened", "stopped"]);
  const again = await startDev(t, cwd);
  assert.match(again.output, /warehouse on OrderPlaced {2}caught up, 1 dead letter, 1 key blocked/);
});

test("a subscription that has to say where it starts can be created from another terminal", async (t) => {
  const cwd = shopFolder(t);
  await factlog(t, ["publish", "OrderPlaced", order("o-1"), "--url", "sqlite:history.db"], { cwd });
  const dev = start(t, ["dev", "app.ts", "--url", "sqlite:history.db"], { cwd });
  await dev.prints(/^FROM_REQUIRED warehouse is new/m);
  await dev.prints(/^waiting for a change/m);
  assert.ok(!existsSync(join(cwd, ".factlog")));
  await factlog(t, ["subscription", "create", "warehouse", "--from", "beginning", "--url", "sqlite:history.db"], {
    cwd,
  });
  await dev.prints(/^OrderPlaced o-1 -> warehouse done/m);
  assert.equal(dev.output.match(/FROM_REQUIRED/g)?.length, 1);
});

test("an app that is not there is an error at once", async (t) => {
  const { code, stderr } = await factlog(t, ["dev", "nope.ts"], { cwd: shopFolder(t) });
  assert.equal(code, 1);
  assert.match(stderr, /^NOT_FOUND nope\.ts is not there/);
});
