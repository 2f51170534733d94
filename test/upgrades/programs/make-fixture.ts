/**
 * Writes the fixture of the newest format: `node --conditions=@factlog/source test/upgrades/programs/make-fixture.ts`.
 * Run once per format, when a version that writes it is released; a fixture is never written again.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { newestFormat } from "../../../src/engines/sqlite/schema.ts";
import { newEventFromJson, openLog } from "../../../src/index.ts";
import { Bill, BillOfOld, bookedTable, fixtureApp, Loose, Order } from "../app.ts";
import { contentsOf, fixture } from "../contents.ts";

const target = fixture(newestFormat);
if (existsSync(target.file)) throw new Error(`${target.file} is there: a fixture is never written again`);
const folder = mkdtempSync(join(tmpdir(), "factlog-fixture-"));
const [file, copy] = [join(folder, "log.db"), join(folder, "copy.db")];
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const log = await openLog(`sqlite:${file}`, { source: "shop", logger: silent });
const own = new DatabaseSync(file, { timeout: 5_000 });
own.exec(bookedTable);
for (let n = 0; n < 24; n++) await log.publish(Order({ key: `k${n % 6}`, n }));
await log.publishAll([100, 101, 102].map((n) => BillOfOld({ key: `k${n % 6}`, n, cents: n * 100 })));
await log.publishAll([103, 104].map((n) => Bill({ key: "k1", n, amount: { cents: n, currency: "USD" } })));
await log.publish(
  Loose(
    { any: [null, true, "\u0000 ünï\ud83d\ude00 \u2028", 1.5, { nested: {} }] },
    {
      source: "elsewhere",
      subject: "über",
      time: new Date("1999-12-31T23:59:59.999Z"),
      correlationId: "c-1",
      causationId: "c-0",
      traceparent: `00-${"a1".repeat(16)}-${"b2".repeat(8)}-01`,
      extensions: { tenant: "t1" },
    },
  ),
);
await log.publish(
  newEventFromJson(Loose, `{ "any": [9007199254740993, -0, 1E400], "any": "twice" }`, { id: "as-given" }),
);

// Withdrawn by nobody, and due when nobody asks any more.
await log.publish(Loose({ any: "later" }, { id: "later" }), { after: "3650d" });

/** Resolves when the handler that never ends runs, under a row that says so. */
const hanging = Promise.withResolvers<void>();
await log.work(
  fixtureApp(false, () => {
    hanging.resolve();
    return new Promise(() => {});
  }),
);
await hanging.promise;
const settled = async (): Promise<boolean> => {
  const status = new Map((await log.operator.status()).map((each) => [each.name, each]));
  const open = (name: string): number => status.get(name)?.depth ?? -1;
  return ["till", "filtered", "skip"].every((name) => open(name) === 0) && status.get("stop")?.dead === 1;
};
while (!(await settled())) await new Promise((resolve) => setImmediate(resolve));
const [first] = await Array.fromAsync(log.operator.deadLetters({ subscription: "skip" }));
await log.operator.discard([first!.id], { reason: "for the fixture" });
own.exec(`VACUUM INTO '${copy}'`);
writeFileSync(target.file, gzipSync(readFileSync(copy), { level: 9 }));
writeFileSync(
  target.contents,
  contentsOf(copy)
    .map((line) => `${JSON.stringify(line)}\n`)
    .join(""),
);
rmSync(folder, { recursive: true });
process.exit(0);
