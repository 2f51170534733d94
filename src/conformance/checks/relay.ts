import assert from "node:assert/strict";
import { event, readAll } from "../build.ts";
import type { Check } from "../check.ts";

export const relayChecks: readonly Check[] = [
  {
    name: "relay: is there where the log has an outbox, and only there",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const { outbox } = log.capabilities;
      assert.deepEqual(
        [typeof log.relay, typeof log.outbox],
        outbox ? ["function", "function"] : ["undefined", "undefined"],
      );
    },
  },
  {
    name: "relay: moves nothing out of an empty outbox, by how many it is called at once",
    about: "log",
    needs: ({ outbox }) => outbox,
    async run(subject) {
      const logs = [(await subject.open()).log, (await subject.open()).log];
      const one = event();
      await logs[0]!.append([one]);
      for (const answer of await Promise.all(logs.flatMap((log) => [log.relay!(), log.relay!()]))) {
        assert.deepEqual(answer, { carried: 0, more: false });
      }
      assert.deepEqual(await logs[0]!.outbox!(), { depth: 0, oldestMs: 0, refused: 0 });
      assert.equal((await readAll(logs[1]!)).length, 1);
    },
  },
];
