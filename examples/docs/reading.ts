/** docs/guides/reading.md: history, live events, and the answer to a question. */
import { defineApp, defineEvent, defineSubscription, openLog } from "factlog";
import { z } from "zod";

const Asked = defineEvent("Asked", {
  schema: z.object({ id: z.string(), n: z.int() }),
  key: (asked) => asked.id,
  id: (asked) => asked.id,
});
const Answered = defineEvent("Answered", {
  schema: z.object({ id: z.string(), square: z.int() }),
  key: (answer) => answer.id,
  id: (answer) => `answer/${answer.id}`,
});
const squares = defineSubscription("squares", { on: Asked, emits: [Answered], from: "beginning" }, (event, ctx) => {
  ctx.emit(Answered({ id: event.data.id, square: event.data.n ** 2 }));
});
const app = defineApp({ name: "maths", subscriptions: [squares] });
const log = await openLog("memory:", { source: "maths" });
await using worker = await log.work(app);

// #region until
const receipt = await log.publish(Asked({ id: "q-1", n: 12 }));
const answer = await log.until(receipt, Answered, { timeout: "10s" });
console.log(answer.data.square, answer.causationId);
// #endregion

// #region read
for await (const event of log.read({ on: [Asked, Answered], key: "q-1" })) {
  if (event.type === "Asked") console.log("asked", event.data.n);
  else console.log("answered", event.data.square);
}
// #endregion

// #region follow
for await (const frame of log.follow({ correlationId: receipt.correlationId })) {
  console.log(frame.kind, "status" in frame ? frame.status : "event" in frame ? frame.event.type : frame.text);
}
// #endregion

await worker.stop();
await log.close();

// Output:
// 144 q-1
// asked 12
// answered 144
// event Asked
// event Answered
// end settled
