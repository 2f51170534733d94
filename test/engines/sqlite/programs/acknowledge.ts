/**
 * Says each acknowledgement with a write of its own, for someone who watches the system calls: `ack NAME`. What is not
 * promised to survive the power is said as `progress`. With FACTLOG_TEST_SABOTAGE=normal the engine is made to commit
 * everything without a sync.
 */
import { writeSync } from "node:fs";
import { closedAs, define, effects, ending, at, event, progress, row } from "../../../../src/conformance/build.ts";
import { firstRowToken } from "../../../../src/engine/ledger.ts";
import { realEnv } from "../../../../src/env.ts";
import { Database } from "../../../../src/engines/sqlite/database.ts";
import { sqlite } from "../../../../src/engines/sqlite/index.ts";

if (process.env["FACTLOG_TEST_SABOTAGE"] === "normal") {
  const exec = Reflect.get(Database.prototype, "exec") as (sql: string) => void;
  Database.prototype.exec = function (sql: string): void {
    exec.call(this, sql.replace("synchronous = FULL", "synchronous = NORMAL"));
  };
}

const say = (line: string): void => void writeSync(1, `${line}\n`);
const { log, ledger } = await sqlite(process.argv[2]!, { slots: 1 }).open(realEnv);

for (let i = 0; i < 20; i++) {
  await log.append([event()]);
  say(`ack single ${i}`);
}
await Promise.all(
  Array.from({ length: 300 }, async (_, i) => {
    await log.append([event(), event()]);
    say(`ack together ${i}`);
  }),
);

const { sub, newest } = await define(ledger);
say("ack define");
const nothing = { serves: [], dead: [], giveBack: [], release: [] };
const { session, held } = await ledger.lease({
  leaseMs: 60_000,
  crashDueMs: 0,
  ...nothing,
  want: [{ sub, gen: 1, revision: newest, slots: 1 }],
});
say("ack join");
const lease = held[0]!;
for (let low = 1; low <= 10; low++) {
  await ledger.record(session, [progress(lease, { low, outcomes: { done: 1 } })]);
  say(`progress ${low}`);
  const insert = [row(low + 100, { state: "running", key: `k${low}` })];
  await ledger.record(session, [progress(lease, { low, insert })]);
  say(`progress row ${low}`);
  const settled = ending(at(lease, low + 100), firstRowToken, closedAs(), effects(low + 100, { emits: [event()] }));
  await ledger.record(session, [settled]);
  say(`ack emit ${low}`);
  await ledger.record(session, [{ kind: "announce", fence: { lease }, event: event() }]);
  say(`ack announce ${low}`);
  const dead = row(low + 200, { state: "dead", key: `d${low}` });
  await ledger.record(session, [progress(lease, { low, insert: [dead] })]);
  say(`ack dead ${low}`);
  const audit = event({ type: "Audit" });
  await ledger.command({ kind: "discard", delivery: at(lease, low + 200), rowToken: firstRowToken, audit });
  say(`ack discard ${low}`);
}
await ledger.close();
await log.close();
