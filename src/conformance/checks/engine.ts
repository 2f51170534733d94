import assert from "node:assert/strict";
import { everySlot, progress, readAll, row, spread } from "../build.ts";
import type { Check } from "../check.ts";
import { scene } from "../worker.ts";

export const engineChecks: readonly Check[] = [
  {
    name: "engine: describes itself in one line",
    about: "log",
    async run(subject) {
      const { description } = await subject.open();
      assert.match(description, /^[^\n]{1,200}$/u);
    },
  },
  {
    name: "engine: inspection finds nothing wrong with a store that is well",
    about: "ledger",
    async run(subject) {
      const { worker, sub } = await scene(subject);
      const { log } = worker.engine;
      await log.append(spread(40));
      const bySlot = Map.groupBy(await readAll(log), ({ slot }) => slot);
      for (const slot of everySlot(log).keys()) {
        const [first, ...others] = bySlot.get(slot) ?? [];
        if (first === undefined) continue;
        const insert = [row(first.position, { eventSlot: slot, key: first.key!, eventId: first.id, state: "dead" })];
        const low = others.at(-1)?.position ?? first.position;
        const outcomes = { done: others.length };
        await worker.settle(progress(worker.leaseOf(sub, slot), { low, claim: low, insert, outcomes }));
      }
      const findings = await worker.engine.inspect();
      // The suite's clock is its own: how far it is from the store's says nothing.
      assert.deepEqual(
        findings.filter(({ ok, check }) => !ok && check !== "clock"),
        [],
      );
    },
  },
  {
    name: "engine: log and ledger agree on the number of slots",
    about: "ledger",
    async run(subject) {
      const { worker } = await scene(subject);
      assert.equal(worker.held.length, worker.engine.log.capabilities.slots);
    },
  },
];
