import assert from "node:assert/strict";
import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Command, CommandResult, DeliveryRef } from "../../engine/ledger.ts";
import {
  at,
  closedAs,
  codeOf,
  deadWith,
  define,
  differing,
  ending,
  event,
  everythingOf,
  failure,
  idsOf,
  progress,
  readAll,
  row,
  rowAt,
  starting,
  statesOf,
  tallyOf,
} from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, type Scene } from "../worker.ts";

const audit = (): EncodedEvent => event({ type: "factlog.operator.acted", key: undefined });

async function audits({ log, ledger }: Engine): Promise<string[]> {
  const found = [...(await ledger.outbox(10_000)).map((one) => one.event), ...(await readAll(log))];
  return idsOf(found.filter(({ type }) => type.startsWith("factlog.")));
}

/** The row at 5 is dead and holds its key back from 6 and 7. */
async function withDead(
  subject: Subject,
  fields: { readonly holds?: boolean; readonly stop?: boolean } = {},
): Promise<
  Scene & {
    readonly dead: DeliveryRef;
    readonly rowToken: number;
    readonly redrive: (change?: Partial<Extract<Command, { kind: "redrive" }>>) => Promise<CommandResult>;
    readonly discard: (change?: Partial<Extract<Command, { kind: "discard" }>>) => Promise<CommandResult>;
  }
> {
  const given = await scene(subject);
  const { worker, ledger, lease } = given;
  const insert = [row(5, { state: "running", failures: 7, failure: failure("earlier") }), row(6), row(7)];
  await worker.settle(progress(lease, { low: 7, insert }));
  await worker.settle(ending(at(lease, 5), 1, deadWith(fields)));
  const dead = at(lease, 5);
  const { rowToken } = (await rowAt(ledger, dead))!;
  return {
    ...given,
    dead,
    rowToken,
    redrive: (change) =>
      ledger.command({ kind: "redrive", delivery: dead, rowToken, nowMs: 8_000, audit: audit(), ...change }),
    discard: (change) => ledger.command({ kind: "discard", delivery: dead, rowToken, audit: audit(), ...change }),
  };
}

const operatorChecks: readonly Check[] = [
  {
    name: "redrive: a dead row is due again, with the same identity and scope and nothing charged",
    about: "ledger",
    async run(subject) {
      const { ledger, sub, dead, redrive } = await withDead(subject);
      const before = (await rowAt(ledger, dead))!;
      await redrive();
      const after = (await rowAt(ledger, dead))!;
      assert.ok(after.rowToken > before.rowToken);
      const { rowToken, ...rest } = before;
      assert.ok(rowToken > 0);
      assert.deepEqual(after, {
        ...rest,
        rowToken: after.rowToken,
        state: "ready",
        dueMs: 8_000,
        failures: 0,
        crashes: 0,
        redriven: true,
      });
      assert.deepEqual(await statesOf(ledger, sub), { 5: "ready", 6: "held", 7: "held" });
      assert.equal((await tallyOf(ledger, sub)).blockedKeys, 0);
    },
  },
  {
    name: "redrive: the history of failures stays",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, dead, redrive } = await withDead(subject);
      const before = await ledger.failures(dead);
      assert.deepEqual(
        before.map(({ error }) => error),
        ["earlier", "given up"],
      );
      await redrive();
      assert.deepEqual(await ledger.failures(dead), before);
      const { rowToken } = (await rowAt(ledger, dead))!;
      await worker.record(starting(lease, 5, rowToken), ending(dead, rowToken + 1, deadWith()));
      const history = await ledger.failures(dead);
      assert.deepEqual(history, [...before, failure("given up")]);
      assert.equal((await rowAt(ledger, dead))!.redriven, true);
    },
  },
  {
    name: "redrive: of two that saw the same row one wins",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, dead, redrive, discard } = await withDead(subject);
      const codes = await Promise.all([codeOf(redrive()), codeOf(redrive())]);
      assert.deepEqual(codes.toSorted(), ["CONFLICT", "resolved"]);
      const { rowToken } = (await rowAt(ledger, dead))!;
      await worker.record(starting(lease, 5, rowToken), ending(dead, rowToken + 1, deadWith()));
      assert.deepEqual([await codeOf(redrive()), await codeOf(discard())], ["CONFLICT", "CONFLICT"]);
      assert.equal((await rowAt(ledger, dead))!.state, "dead");
    },
  },
  {
    name: "redrive: only a dead row as it was seen, else CONFLICT; none at all is NOT_FOUND; both change nothing",
    about: "ledger",
    async run(subject) {
      const { worker, lease, rowToken, subscription, redrive, discard } = await withDead(subject);
      await worker.settle(
        progress(lease, { low: 9, insert: [row(8, { key: "r", state: "running" }), row(9, { key: "y" })] }),
      );
      const before = await everythingOf(worker.engine, subscription);
      for (const act of [redrive, discard]) {
        assert.equal(await codeOf(act({ rowToken: rowToken + 1 })), "CONFLICT");
        for (const position of [6, 8, 9])
          assert.equal(await codeOf(act({ delivery: at(lease, position), rowToken: 1 })), "CONFLICT");
        assert.equal(await codeOf(act({ delivery: at(lease, 4) })), "NOT_FOUND");
        assert.equal(await codeOf(act({ delivery: { ...at(lease, 5), sub: lease.sub + 9 } })), "NOT_FOUND");
      }
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      assert.deepEqual(await audits(worker.engine), []);
    },
  },
  {
    name: "redrive: a row that did not hold its key does not hold it again",
    about: "ledger",
    async run(subject) {
      const { ledger, lease, sub, redrive } = await withDead(subject, { holds: false });
      await redrive();
      assert.equal((await rowAt(ledger, at(lease, 5)))!.holds, false);
      assert.deepEqual(await statesOf(ledger, sub), { 5: "ready", 6: "ready", 7: "held" });
    },
  },
  {
    name: "redrive: brings a stopped subscription back, with the last row that stopped it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, sub, lease, redrive } = await withDead(subject, { stop: true });
      await worker.settle(progress(lease, { low: 9, insert: [row(9, { key: "z", state: "dead", stop: true })] }));
      const stateNow = async (): Promise<string> => (await tallyOf(ledger, sub)).state;
      await redrive();
      assert.equal(await stateNow(), "stopped");
      await redrive({ delivery: at(lease, 9), rowToken: 1 });
      assert.equal(await stateNow(), "active");
    },
  },
  {
    name: "discard: a dead row is closed as discarded, and the next of its key goes on",
    about: "ledger",
    async run(subject) {
      const { ledger, sub, lease, discard } = await withDead(subject, { stop: true });
      const result = await discard();
      assert.deepEqual([result.sub, result.gen], [lease.sub, lease.gen]);
      assert.deepEqual(await statesOf(ledger, sub), { 6: "ready", 7: "held" });
      assert.equal((await rowAt(ledger, at(lease, 6)))!.dueMs, 0);
      const { slots, rows, blockedKeys, state } = await tallyOf(ledger, sub);
      assert.deepEqual(
        [slots[0]!.outcomes.discarded, slots[0]!.matched, rows.dead, blockedKeys, state],
        [1, 3, 0, 0, "active"],
      );
    },
  },
  {
    name: "command: its audit event exists if and only if it succeeded",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, redrive, discard } = await withDead(subject);
      await worker.settle(progress(lease, { low: 9, insert: [row(9, { key: "z", state: "dead" })] }));
      const done = [audit(), audit(), audit(), audit()];
      const [redriven, discarded, renamed, retired] = done as [EncodedEvent, EncodedEvent, EncodedEvent, EncodedEvent];
      await redrive({ audit: redriven });
      assert.equal(await codeOf(redrive({ audit: audit() })), "CONFLICT");
      await discard({ delivery: at(lease, 9), rowToken: 1, audit: discarded });
      assert.equal(await codeOf(discard({ audit: audit() })), "CONFLICT");
      await ledger.command({ kind: "rename", name: "warehouse", to: "stock", audit: renamed });
      assert.equal(
        await codeOf(ledger.command({ kind: "rename", name: "warehouse", to: "x", audit: audit() })),
        "NOT_FOUND",
      );
      await ledger.command({ kind: "retire", name: "stock", audit: retired });
      assert.equal(await codeOf(ledger.command({ kind: "retire", name: "stock", audit: audit() })), "NOT_FOUND");
      assert.deepEqual((await audits(worker.engine)).toSorted(), idsOf(done).toSorted());
    },
  },
  {
    name: "command: whose audit event cannot be stored does not succeed",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription, redrive, discard } = await withDead(subject);
      const known = audit();
      await ledger.command({ kind: "rename", name: "warehouse", to: "stock", audit: known });
      const before = await everythingOf(worker.engine, subscription);
      const other = differing(known);
      const refused = [
        redrive({ audit: other }),
        discard({ audit: other, delivery: at(lease, 5) }),
        ledger.command({ kind: "rename", name: "stock", to: "x", audit: other }),
        ledger.command({ kind: "retire", name: "stock", audit: other }),
      ];
      assert.deepEqual(await Promise.all(refused.map(codeOf)), Array(4).fill("ID_CONFLICT"));
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
    },
  },
];

const lifeChecks: readonly Check[] = [
  {
    name: "retire: removes the subscription with its progress and rows, and frees its name",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub, subscription } = await withDead(subject);
      const other = await define(ledger, {}, { name: "billing" });
      await ledger.command({ kind: "retire", name: "warehouse", audit: audit() });
      assert.deepEqual(
        (await ledger.tally()).map((one) => one.sub),
        [other.sub],
      );
      assert.deepEqual(await ledger.deliveries({ kind: "state", state: "dead", limit: 10 }), []);
      const state = await worker.take(subscription);
      assert.deepEqual([state.held, state.subscriptions.map((one) => one.sub)], [[], [other.sub]]);
      assert.equal((await worker.settle(progress(lease, { low: 90 }))).status, "lost");
      assert.equal((await worker.settle(ending(at(lease, 5), 1, closedAs()))).status, "lost");
      assert.equal(await codeOf(ledger.load([lease])), "NOT_FOUND");
      const again = await define(ledger);
      assert.ok(again.created && again.sub !== sub);
      assert.deepEqual(await statesOf(ledger, again.sub), {});
      assert.equal((await ledger.load([{ sub: again.sub, gen: again.gen, slot: 0 }]))[0]!.low, 0);
    },
  },
  {
    name: "retire: CONFLICT while a session serves it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, sub } = await scene(subject);
      const retire = (): Promise<CommandResult> =>
        ledger.command({ kind: "retire", name: "warehouse", audit: audit() });
      await worker.lease({ serves: [{ sub, revision: 1, inFlight: 0 }] });
      assert.equal(await codeOf(retire()), "CONFLICT");
      assert.equal((await tallyOf(ledger, sub)).name, "warehouse");
      await worker.lease({ serves: [{ sub: sub + 1, revision: 1, inFlight: 0 }] });
      assert.equal((await retire()).sub, sub);
    },
  },
  {
    name: "rename: keeps everything under the new name",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await withDead(subject);
      const before = await ledger.load([lease]);
      const renamed = await ledger.command({ kind: "rename", name: "warehouse", to: "stock", audit: audit() });
      assert.equal(renamed.sub, sub);
      const tally = await tallyOf(ledger, sub);
      assert.deepEqual([tally.name, tally.rows.dead, tally.rows.held], ["stock", 1, 2]);
      assert.deepEqual(await ledger.load([lease]), before);
      assert.equal((await worker.settle(progress(lease, { low: 20 }))).status, "ok");
      const found = await define(ledger, {}, { name: "stock" });
      assert.deepEqual([found.sub, found.created], [sub, false]);
      assert.equal((await define(ledger)).created, true);
    },
  },
  {
    name: "rename: CONFLICT where the name is taken, NOT_FOUND where there is nothing to rename",
    about: "ledger",
    async run(subject) {
      const { ledger, sub } = await scene(subject);
      await define(ledger, {}, { name: "billing" });
      const rename = (name: string, to: string): Promise<string> =>
        codeOf(ledger.command({ kind: "rename", name, to, audit: audit() }));
      assert.deepEqual([await rename("warehouse", "billing"), await rename("unheard", "x")], ["CONFLICT", "NOT_FOUND"]);
      assert.equal((await tallyOf(ledger, sub)).name, "warehouse");
    },
  },
];

export const operateChecks: readonly Check[] = [...operatorChecks, ...lifeChecks];
