/**
 * A publisher process: `publisher.ts URL NAME FIRST KEYS RETRY`. Says which facts it is about to state ("try") and what
 * became of them, so that whoever listens knows what was acknowledged even when it is killed. RETRY: numbers, separated
 * by commas, of facts whose outcome is unknown and that are stated again. Ends when stdin does.
 */
import { openLog } from "../../src/index.ts";
import { factOf } from "../facts.ts";
import { say } from "../say.ts";
import { pause } from "../scratch.ts";

const [url = "", name = "", first = "0", keys = "1", retry = ""] = process.argv.slice(2);
/** Facts in flight at a time, and the wait of each lane between two: some 150 facts a second and publisher. */
const lanes = 6;
const restMs = 60;
const batchEvery = 6;
const batchSize = 4;

let call = 0;
let next = Number(first);
let over = false;
process.stdin.on("end", () => {
  over = true;
});
process.stdin.resume();

const log = await openLog(url);
say({ up: process.pid });
for (const n of retry === "" ? [] : retry.split(",")) await state([Number(n)]);
await Promise.all(Array.from({ length: lanes }, lane));
await log.close();

async function lane(): Promise<void> {
  while (!over) {
    const size = next % batchEvery === 0 ? batchSize : 1;
    const numbers = Array.from({ length: size }, () => next++);
    await state(numbers);
    await pause(restMs * Math.random() * 2);
  }
}

async function state(numbers: readonly number[]): Promise<void> {
  const id = call++;
  const facts = numbers.map((n) => factOf(name, n, Number(keys)));
  say({ try: id, numbers });
  try {
    const receipts = facts.length === 1 ? [await log.publish(facts[0]!)] : await log.publishAll(facts);
    say({
      ack: id,
      receipts: receipts.map(({ position, duplicate }) => [String(position).split(".").at(-1), duplicate]),
    });
  } catch (error) {
    say({ no: id, code: (error as { code?: string }).code ?? String(error) });
  }
}
