import assert from "node:assert/strict";
import type { AnnounceChange } from "../../engine/ledger.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import {
  at,
  closedAs,
  differing,
  encodedPart,
  ending,
  event,
  idsOf,
  progress,
  readAll,
  row,
  retryAt,
} from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

const announcing = (fence: AnnounceChange["fence"], one: EncodedEvent): AnnounceChange => ({
  kind: "announce",
  fence,
  event: one,
});

export const announceChecks: readonly Check[] = [
  {
    name: "announce: is in the log at once, and answers its place",
    about: "ledger",
    needs: ({ sharesLog }) => sharesLog,
    async run(subject) {
      const { worker, lease } = await scene(subject);
      const { log } = await subject.open();
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      const [one, two] = [event(), event()];
      const answers = await worker.record(
        announcing({ lease }, one),
        announcing({ delivery: at(lease, 5), rowToken: 1 }, two),
      );
      const places = answers.map(({ announced }) => announced!.appended!);
      assert.deepEqual(
        places.map(({ duplicate }) => duplicate),
        [false, false],
      );
      const found = await log.fetch(places);
      assert.deepEqual(
        found.map((stored) => encodedPart(stored!)),
        [one, two],
      );
    },
  },
  {
    name: "announce: the first content stands, and a different second one is told as diverged",
    about: "ledger",
    needs: ({ sharesLog }) => sharesLog,
    async run(subject) {
      const { worker, lease } = await scene(subject);
      const one = event();
      const first = (await worker.settle(announcing({ lease }, one))).announced!;
      assert.equal(first.diverged, false);
      const again = await worker.settle(announcing({ lease }, event({ ...one, timeMs: 9 })));
      assert.deepEqual(again.announced, { appended: { ...first.appended!, duplicate: true }, diverged: false });
      const other = await worker.settle(announcing({ lease }, differing(one)));
      assert.equal(other.status, "ok");
      assert.deepEqual(other.announced, { appended: { ...first.appended!, duplicate: true }, diverged: true });
      assert.deepEqual((await readAll(worker.engine.log)).map(encodedPart), [one]);
    },
  },
  {
    name: "announce: under a lost fence nothing is appended",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const other = await Worker.join(subject);
      const insert = [row(5, { state: "running" }), row(6, { key: "z" })];
      await worker.settle(progress(lease, { low: 6, insert }));
      const fences: AnnounceChange["fence"][] = [
        { lease: { ...lease, token: lease.token + 1 } },
        { delivery: at(lease, 5), rowToken: 2 },
        { delivery: at(lease, 6), rowToken: 1 },
        { delivery: at(lease, 7), rowToken: 1 },
      ];
      const answers = [...(await worker.record(...fences.map((fence) => announcing(fence, event()))))];
      answers.push(await other.settle(announcing({ lease }, event())));
      answers.push(await other.settle(announcing({ delivery: at(lease, 5), rowToken: 1 }, event())));
      await worker.settle(ending(at(lease, 5), 1, retryAt(1)));
      answers.push(await worker.settle(announcing({ delivery: at(lease, 5), rowToken: 1 }, event())));
      await other.bury(worker);
      answers.push(await worker.settle(announcing({ lease }, event())));
      assert.deepEqual(
        answers.map(({ status }) => status),
        Array(8).fill("lost"),
      );
      assert.deepEqual([await readAll(worker.engine.log), await ledger.outbox(10)], [[], []]);
    },
  },
  {
    name: "announce: a detached delivery announces though its slot has gone over",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      await worker.lease({ giveBack: worker.held });
      const next = await Worker.join(subject);
      await next.take(subscription);
      const one = event();
      const fence = { delivery: at(lease, 5), rowToken: 1 };
      assert.equal((await worker.settle(announcing(fence, one))).status, "ok");
      const waiting = (await ledger.outbox(10)).map((out) => out.event);
      assert.deepEqual(idsOf([...waiting, ...(await readAll(worker.engine.log))]), [one.id]);
      await worker.settle(ending(at(lease, 5), 1, closedAs()));
      assert.equal((await worker.settle(announcing(fence, event()))).status, "lost");
    },
  },
];
