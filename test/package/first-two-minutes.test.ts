/** The first two minutes of somebody new, line by line, with the package as it would be published. */
import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Ran, Running } from "../support/cli.ts";
import { endAll, install, pack, shell, startInstalled } from "../support/package.ts";

const packagesMax = 12;
let folder: string;
let dev: Running;

const npx = (line: string): Promise<Ran> => shell(folder, `npx --no-install factlog ${line}`);
const publish = (order: object): Promise<Ran> => {
  const json = JSON.stringify(order);
  return npx(`publish OrderPlaced ${process.platform === "win32" ? JSON.stringify(json) : `'${json}'`}`);
};
/** Saves the app with another line at the begin of its handler, and waits between attempts that are known. */
function save(line: string): void {
  const app = readFileSync(join(folder, "app.ts"), "utf8")
    .split("\n")
    .filter((each) => !each.endsWith("// changed"));
  const handler = app.findIndex((each) => each.startsWith("const warehouse"));
  if (line !== "") app.splice(handler + 1, 0, `  ${line} // changed`);
  const text = app.join("\n").replace("{ on: OrderPlaced }", '{ on: OrderPlaced, retry: { backoff: ["1s", "5s"] } }');
  writeFileSync(join(folder, "app.ts"), text);
}

before(async () => {
  folder = await install(await pack());
});

after(endAll);

test("npm i factlog zod: a handful of packages, no addon, no install script", () => {
  const lock = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
  };
  const packages = Object.entries(lock.packages).filter(([path]) => path !== "");
  assert.ok(packages.length >= 2 && packages.length <= packagesMax, packages.map(([path]) => path).join(", "));
  assert.deepEqual(
    packages.filter(([, each]) => each.hasInstallScript).map(([path]) => path),
    [],
  );
  assert.deepEqual(globSync("node_modules/**/{*.node,binding.gyp}", { cwd: folder }), []);
  assert.deepEqual(
    globSync("node_modules/factlog/**/*.ts", { cwd: folder }).filter((file) => !file.endsWith(".d.ts")),
    [],
  );
});

test("npx factlog init: wrote app.ts, next: npx factlog dev app.ts", async () => {
  const { code, stdout, stderr } = await npx("init");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^wrote app\.ts, .*\nnext: npx factlog dev app\.ts\n$/);
});

test("npx factlog dev app.ts: its log, how durable, and what each subscription owes", async () => {
  dev = startInstalled(folder, ["dev", "app.ts"]);
  await dev.prints(/^sqlite:\.factlog\/dev\.db {2}durable \(WAL, FULL; [\d.]+ m?s a commit\)$/m);
  await dev.prints(/^warehouse on OrderPlaced {2}caught up$/m);
});

test("publish: stored, and delivered in the other pane; published again it is a duplicate", async () => {
  const first = await publish({ orderId: "o-1", sku: "cd" });
  assert.match(first.stdout, /^o-1 stored at 1 in [\d.]+ m?s {2}\(sqlite:\.factlog\/dev\.db\)\n$/);
  await dev.prints(/^OrderPlaced o-1 -> warehouse done, [\d.]+ m?s$/m);
  const again = await publish({ orderId: "o-1", sku: "cd" });
  assert.deepEqual(
    [again.code, again.stdout],
    [0, "o-1 was already stored at 1 (duplicate)  (sqlite:.factlog/dev.db)\n"],
  );
});

test("publish what the schema refuses: INVALID_DATA with the field; nothing was stored", async () => {
  const { code, stdout, stderr } = await publish({});
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^INVALID_DATA .*orderId: expected string.* Nothing was stored\.\n$/);
  assert.equal((await npx("tail --json")).stdout.trim().split("\n").length, 1);
});

test("a handler that throws for o-2: it is retried, and blocks only itself", async () => {
  save('if (event.data.orderId === "o-2") throw new Error("no such article");');
  await dev.prints(/^restarted in /m);
  await publish({ orderId: "o-2", sku: "??" });
  await dev.prints(/^OrderPlaced o-2 -> warehouse retry in 1 s \(1\/8\): Error: no such article$/m);
  await publish({ orderId: "o-3", sku: "cd" });
  await dev.printsAll(/^OrderPlaced o-3 -> warehouse done/m, /^OrderPlaced o-2 -> warehouse retry in 5 s \(2\/8\)/m);
});

test("mended and saved: restarted, and o-2 is done at its next attempt, the third where the machine is not busy", async () => {
  save("");
  await dev.prints(/^restarted in .* \(app\.ts changed\)$/m);
  await dev.prints(/^OrderPlaced o-2 -> warehouse done at attempt [3-8], [\d.]+ m?s$/m);
  assert.equal((await dev.end("SIGINT")).code, 0);
});

test("kill -9 in the middle of a delivery: the other worker takes over, same idempotency key", async () => {
  save(
    'console.log("begin", event.id, ctx.idempotencyKey("reserve")); if (process.env.HANG === event.id) await new Promise(() => {});',
  );
  const doomed = startInstalled(folder, ["start", "app.ts"], { HANG: "o-4" });
  await doomed.prints(/"message":"joined"/);
  await publish({ orderId: "o-4", sku: "cd" });
  const [, key] = await doomed.prints(/^begin o-4 ([0-9a-f]+)$/m);
  const other = startInstalled(folder, ["start", "app.ts"]);
  await other.prints(/"message":"joined"/);
  await doomed.end("SIGKILL");
  // What the handler prints and what the worker reports come by two pipes, in either order.
  await other.printsAll(
    /"message":"took over warehouse"/,
    new RegExp(`^begin o-4 ${key}$`, "m"),
    /"message":"OrderPlaced o-4 -> warehouse was delivered again after a worker died, same idempotency key"/,
  );
  assert.equal((await other.end()).code, 0);
  assert.match((await npx("status")).stdout, /^warehouse +active +0 +- +0 +0 +0 +0 +0 +0 +0 +0 +- +- +-$/m);
  const doctor = await npx("doctor");
  assert.equal(doctor.code, 0, doctor.stdout);
});

test("npx factlog demo: the night at 2 AM, counted", async () => {
  const { code, stdout, stderr } = await npx("demo --json");
  assert.equal(code, 0, stderr);
  assert.equal((JSON.parse(stdout) as { readonly ok: boolean }).ok, true);
});
