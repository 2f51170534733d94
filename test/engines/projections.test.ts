/** The acts of generations, on each engine that has tables: who may do what when, and that nothing is done by halves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "../../src/app/sql.ts";
import { codeOf, definition, event, progress } from "../../src/conformance/build.ts";
import { subjectOf } from "../../src/conformance/index.ts";
import { Worker } from "../../src/conformance/worker.ts";
import type { Ledger } from "../../src/engine/ledger.ts";
import type { GenerationAct } from "../../src/engine/projections.ts";
import { engines } from "../runtime/support.ts";

const begin = (
  ledger: Ledger,
  after: number,
  fields: Partial<Extract<GenerationAct, { kind: "begin" }>> = {},
): Promise<number> => {
  const table = ledger.tableName("things", after + 1, "create");
  const create = [{ text: [`create table ${table} (n integer)`], values: [] }];
  const act = { kind: "begin", name: "p", after, version: after + 1, tables: ["things"], shape: "", create } as const;
  return ledger.generation({ ...act, definition: definition({ types: ["Placed"] }), ...fields });
};
const cutOver = (ledger: Ledger, generation: number, seal: number): Promise<number> =>
  ledger.generation({ kind: "cut over", name: "p", generation, seal });
const freeze = (ledger: Ledger, generation = 1): Promise<number> =>
  ledger.generation({ kind: "freeze", name: "p", generation });
const thaw = (ledger: Ledger): Promise<number> => ledger.generation({ kind: "thaw", name: "p" });
const things = sql`select n from things order by n`;

for (const { name, fresh } of engines.filter((one) => one.name !== "memory")) {
  test(`${name}: a generation is begun once, whole or not at all`, async () => {
    const subject = subjectOf(fresh());
    const { ledger } = await subject.open();
    const broken = [{ text: [`create table ${ledger.tableName("things", 1, "create")} (n integer,)`], values: [] }];
    await assert.rejects(begin(ledger, 0, { create: broken }));
    assert.equal(await codeOf(begin(ledger, 0, { create: [] })), "INVALID_DEFINITION");
    assert.deepEqual([await ledger.projections(), await ledger.tally()], [[], []]);
    await begin(ledger, 0);
    assert.equal(await codeOf(begin(ledger, 0)), "CONFLICT");
    assert.equal(await codeOf(begin(ledger, 7)), "CONFLICT");
    await begin(ledger, 1);
    assert.equal(await codeOf(begin(ledger, 1)), "CONFLICT");
    // A third takes the place of the second.
    await begin(ledger, 2);
    const known = await ledger.projections();
    assert.deepEqual(
      known.map(({ generation, version, live }) => [generation, version, live]),
      [
        [1, 1, true],
        [3, 3, false],
      ],
    );
    assert.deepEqual(
      (await ledger.tally()).map((each) => each.name),
      ["p", "p@3"],
    );
    await assert.rejects(ledger.query(sql`select * from things__2`));
    assert.deepEqual(await ledger.query(things), []);
    assert.equal(await codeOf(ledger.generation({ kind: "want", name: "p" })), "CONFLICT");
    await ledger.generation({ kind: "abandon", name: "p", generation: 3 });
    await ledger.generation({ kind: "want", name: "p" });
    assert.equal((await ledger.projections())[0]?.wanted, 2);
    assert.equal(await codeOf(ledger.generation({ kind: "want", name: "q" })), "NOT_FOUND");
    await subject.close();
  });

  test(`${name}: what is frozen moves for nobody; a seal is good until it has moved`, async () => {
    const subject = subjectOf(fresh());
    const worker = await Worker.join(subject);
    const other = await Worker.join(subject);
    const { ledger } = worker;
    await begin(ledger, 0);
    await begin(ledger, 1);
    const [live, next] = await ledger.projections();
    const wanted = { sub: live!.sub, gen: live!.gen, revision: 1, slots: 3 };
    await worker.lease({ want: [wanted] });
    const lease = worker.leaseOf(live!.sub);
    const write = (n: number) => ({
      position: n,
      emits: [],
      writes: [{ text: [`insert into ${ledger.tableName("things", 1, "use")} values (`, ")"], values: [n] }],
    });
    const step = (n: number) => progress(lease, { low: n, outcomes: { done: 1 }, effects: [write(n)] });
    assert.equal((await worker.settle(step(1))).status, "ok");
    assert.equal(await codeOf(cutOver(ledger, 2, 0)), "CONFLICT");
    const seal = await freeze(ledger);
    assert.equal(await freeze(ledger), seal);
    assert.equal((await worker.settle(step(2))).status, "lost");
    await other.lease({ want: [wanted] });
    await worker.lease({ want: [wanted] });
    assert.deepEqual([worker.held, other.held], [[], []]);
    // A worker's end, and its burial, set nothing free.
    await other.bury(worker);
    await other.lease({ want: [wanted] });
    assert.deepEqual(other.held, []);
    await thaw(ledger);
    assert.equal(await codeOf(cutOver(ledger, 2, seal)), "CONFLICT");
    await other.lease({ want: [wanted] });
    assert.equal(other.held.length, 3);
    const anew = await freeze(ledger);
    assert.notEqual(anew, seal);
    assert.equal(await codeOf(cutOver(ledger, 2, seal)), "CONFLICT");
    assert.deepEqual(await ledger.query(things), [{ n: 1 }]);
    await cutOver(ledger, 2, anew);
    assert.deepEqual(await ledger.query(things), []);
    assert.deepEqual(
      (await ledger.tally()).map((each) => [each.sub, each.name]),
      [[next!.sub, "p"]],
    );
    assert.equal(await codeOf(cutOver(ledger, 2, anew)), "NOT_FOUND");
    assert.equal(await codeOf(freeze(ledger, 1)), "NOT_FOUND");
    const gone = {
      kind: "define",
      name: "p",
      sub: live!.sub,
      definition: definition(),
      start: new Map(),
      baseline: new Map(),
    } as const;
    assert.equal(await codeOf(ledger.command(gone)), "NOT_FOUND");
    await subject.close();
  });

  test(`${name}: a place is found by the id of an event, for each source that has it`, async () => {
    const subject = subjectOf(fresh());
    const { log } = await subject.open();
    const id = "01890a5d-ac96-774b-bcce-b302099a8057";
    const [a, , b] = await log.append([
      event({ id, source: "a" }),
      event(),
      event({ id, source: "b" }),
      event({ id: "plain" }),
    ]);
    assert.deepEqual(
      (await log.locate!(id)).map(({ position }) => position),
      [a!.position, b!.position],
    );
    assert.deepEqual([(await log.locate!("plain")).length, await log.locate!("nowhere")], [1, []]);
    await subject.close();
  });
}
