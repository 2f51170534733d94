/** The count by which the crew under fire is judged (`npm start -- --chaos`): each kind of repetition is seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Provider } from "../../examples/research/chaos/provider.ts";
import { sectionsOf } from "../../examples/research/documents.ts";
import { askFor } from "../../examples/research/quotes.ts";
import { eventually } from "../runtime/support.ts";

const documents = [{ id: "d", text: `${"One sentence of the first part. ".repeat(260)}And one of the second.` }];
const sections = sectionsOf(documents[0]!.text);
const prompts = sections.map((section) => askFor(3, "?", section));

/** Neither fails nor hangs, at once. */
const fine = [0.5, 0];
const hangs = [0.95];
const fails = [0.1];
async function provider(...fates: readonly number[]) {
  const left = [...fates];
  const started = await Provider.start(documents, "?", () => left.shift() ?? 0);
  const ask = (life: string, prompt: string, key: string, signal?: AbortSignal): Promise<number> =>
    fetch(`${started.url}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${life}`, "idempotency-key": key },
      body: JSON.stringify({ messages: [{ role: "user", content: prompt }] }),
      ...(signal === undefined ? {} : { signal }),
    }).then(async (response) => (await response.text(), response.status));
  return { started, ask };
}
const [first = "", second = ""] = prompts;

test("asked again by somebody who lives, a call is one that was recorded, and paid for again under another key", async () => {
  const { started, ask } = await provider(...fine, ...fine, ...fine);
  await using _ = started;
  assert.equal(await ask("a", first, "k1"), 200);
  await ask("b", first, "k1");
  assert.deepEqual([started.count.recordedCallsRepeated, started.count.modelCallsPaidTwice], [1, 0]);
  assert.equal(started.count.answeredByKey, 1);
  await ask("b", first, "k2");
  assert.deepEqual([started.count.recordedCallsRepeated, started.count.modelCallsPaidTwice], [2, 1]);
});

test("answered to somebody who was killed, it may not have been kept; where what follows was asked for, it was", async () => {
  assert.equal(sections.length, 2);
  const { started, ask } = await provider(...fine, ...fine, ...fine, ...fine, ...fine);
  await using _ = started;
  await ask("a", first, "k1");
  started.killed("a");
  await ask("b", first, "k1");
  assert.deepEqual([started.count.recordedCallsRepeated, started.count.repeatedInFlight], [0, 1]);
  await ask("b", second, "k2");
  started.killed("b");
  await ask("c", first, "k1");
  assert.deepEqual([started.count.recordedCallsRepeated, started.count.repeatedInFlight], [1, 1]);
});

test("under way at a kill: counted, repeated once; what failed is no repetition", async () => {
  const { started, ask } = await provider(...hangs, ...fails, ...fine);
  await using _ = started;
  const over = new AbortController();
  const asked = ask("a", first, "k1", over.signal).catch(() => {});
  await eventually("it hangs", () => started.busy.includes("a"));
  started.killed("a");
  over.abort();
  await asked;
  assert.equal(await ask("b", first, "k1"), 500);
  assert.equal(await ask("b", first, "k1"), 200);
  const { inFlightAtKill, repeatedInFlight, recordedCallsRepeated, failed, hung } = started.count;
  assert.deepEqual([inFlightAtKill, repeatedInFlight, recordedCallsRepeated, failed, hung], [1, 1, 0, 1, 1]);
});
