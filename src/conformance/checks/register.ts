import assert from "node:assert/strict";
import type { Entering } from "../../engine/register.ts";
import { codeOf, differing, event, idsOf, readAll } from "../build.ts";
import type { Check } from "../check.ts";
import { Worker } from "../worker.ts";

const entering = (fields: Partial<Entering>): Entering => ({
  kind: "token",
  name: "a",
  seen: undefined,
  body: "1",
  events: [],
  ...fields,
});

/** What has become a fact, in its order, wherever the ledger puts facts. */
async function facts({ engine: { log, ledger } }: Worker): Promise<readonly string[]> {
  const { sharesLog } = ledger.capabilities;
  return idsOf(sharesLog ? await readAll(log) : (await ledger.outbox(1_000)).map((row) => row.event));
}

export const registerChecks: readonly Check[] = [
  {
    name: "enter: an entry is put, replaced and removed in the place of what was seen, with its facts",
    about: "ledger",
    async run(subject) {
      const worker = await Worker.join(subject);
      const { ledger } = worker;
      const [a, b, c] = [event(), event(), event()];
      const body = '{"text":"ü \ud83d\ude00\n"}';
      assert.equal(await ledger.enter(entering({ body, events: [a] })), true);
      assert.deepEqual(await ledger.entries("token"), [{ name: "a", body }]);
      assert.equal(await ledger.enter(entering({ seen: body, body: "2", events: [b] })), true);
      assert.deepEqual(await ledger.entries("token"), [{ name: "a", body: "2" }]);
      assert.equal(await ledger.enter(entering({ seen: "2", body: undefined, events: [c] })), true);
      assert.deepEqual(await ledger.entries("token"), []);
      assert.deepEqual(await facts(worker), [a.id, b.id, c.id]);
    },
  },
  {
    name: "enter: whoever saw something else changes nothing",
    about: "ledger",
    async run(subject) {
      const worker = await Worker.join(subject);
      const { ledger } = worker;
      const refused = async (fields: Partial<Entering>): Promise<void> => {
        assert.equal(await ledger.enter(entering({ ...fields, events: [event()] })), false, JSON.stringify(fields));
      };
      await refused({ seen: "1", body: "2" });
      await refused({ seen: "1", body: undefined });
      await ledger.enter(entering({}));
      await refused({});
      await refused({ body: undefined });
      await refused({ seen: "0", body: "2" });
      await refused({ seen: "0", body: undefined });
      await refused({ kind: "other", seen: "1", body: "2" });
      assert.deepEqual(await ledger.entries("token"), [{ name: "a", body: "1" }]);
      assert.deepEqual(await facts(worker), []);
    },
  },
  {
    name: "enter: a fact that cannot be stated leaves the entry as it was",
    about: "ledger",
    async run(subject) {
      const worker = await Worker.join(subject);
      const one = event();
      await worker.ledger.enter(entering({ events: [one] }));
      const next = entering({ seen: "1", body: "2", events: [event(), differing(one)] });
      assert.equal(await codeOf(worker.ledger.enter(next)), "ID_CONFLICT");
      assert.deepEqual(await worker.ledger.entries("token"), [{ name: "a", body: "1" }]);
      assert.deepEqual(await facts(worker), [one.id]);
    },
  },
  {
    name: "entries: those of one kind, in the order of their names",
    about: "ledger",
    async run(subject) {
      const { ledger } = await Worker.join(subject);
      const names = ["b", "B", "é", "a", "a-", "\u{1f600}", "\uffee"];
      for (const name of names) await ledger.enter(entering({ name }));
      await ledger.enter(entering({ kind: "other", name: "c" }));
      assert.deepEqual(
        (await ledger.entries("token")).map(({ name }) => name),
        ["B", "a", "a-", "b", "é", "\uffee", "\u{1f600}"],
      );
      assert.deepEqual(await ledger.entries("none"), []);
    },
  },
  {
    name: "enter: of two processes that saw the same one wins",
    about: "ledger",
    needsProcesses: true,
    async run(subject) {
      const [a, b] = [await Worker.join(subject), await Worker.join(subject)];
      for (const seen of [undefined, "1"]) {
        const one = entering({ seen, body: "1" });
        const other = entering({ seen, body: "2" });
        const won = await Promise.all([
          a.ledger.enter({ ...one, body: seen === undefined ? "1" : "3", events: [event()] }),
          b.ledger.enter({ ...other, body: seen === undefined ? "1" : "4", events: [event()] }),
        ]);
        assert.equal(won.filter((first) => first).length, 1);
      }
      assert.equal((await facts(a)).length, 2);
    },
  },
];
