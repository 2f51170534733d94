/**
 * What an agent may be given, and must bear: what is here, and elsewhere: tools that throw or hang, unknown tools, input that is no
 * JSON, `emit` inside a tool (tools.test.ts), a budget of nothing, a price that nobody knows (budget.test.ts).
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { generateText } from "ai";
import { defineAgent, durable } from "../../src/agent/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { testLog } from "../../src/testing/index.ts";
import { factlog, shopFolder } from "../support/cli.ts";
import { ModelServer } from "../support/model-server.ts";
import { appOf, Order, reader, running } from "./support.ts";

test("a name of a step that is taken at that time is refused, and says what to do", async () => {
  await using log = await running(
    reader((_, ctx) => Promise.all([ctx.step("pay", () => 1), ctx.step("pay", () => 2)]), {
      retry: { attemptsMax: 1 },
    }),
  );
  await log.publish("k");
  assert.match(await log.died(), /two steps named pay run at one time: give each a name of its own, such as pay-1/);
});

const circular: { self?: object } = {};
circular.self = circular;
for (const [name, value] of [
  ["a bigint", 1n],
  ["a circle", circular],
  ["a function", () => {}],
  ["a symbol", Symbol("s")],
  ["more than a step holds", "x".repeat(17 * 1024 * 1024)],
] as const) {
  test(`a value that cannot be remembered is refused: ${name}`, async () => {
    await using log = await running(
      reader((_, ctx) => ctx.step("give", () => value as unknown), { retry: { attemptsMax: 1 } }),
    );
    await log.publish("k");
    assert.match(await log.died(), /the value of step give cannot be remembered/);
  });
}

for (const body of ["", "{", "<html>busy</html>", "null", '{"choices": []}', '{"choices": [{"message": 7}]}']) {
  test(`a model that answers ${JSON.stringify(body)}: nothing is remembered, and the next attempt asks again`, async () => {
    await using server = await ModelServer.start((_, nth) => (nth === 1 ? { body } : { text: "there it is" }));
    const seen: string[] = [];
    await using log = await running(
      reader(async (_, ctx) => {
        const { model } = durable(ctx, { model: server.model() });
        seen.push((await generateText({ model, prompt: "?" })).text);
      }),
    );
    await log.publish("k");
    await log.closed(1);
    assert.deepEqual([seen, server.calls.length], [["there it is"], 2]);
  });
}

test("an approval that is answered twice, or after its time, takes the first: the second is told of a conflict", async () => {
  const answers: unknown[] = [];
  await using log = await testLog(
    appOf(reader(async (_, ctx) => answers.push(await ctx.approval("ask", { summary: "May it?", timeout: "1h" })))),
  );
  await log.publish(Order({ key: "a", n: 1 }));
  await log.settled();
  const [first] = await Array.fromAsync(log.operator.approvals());
  await log.operator.answer(first!.id, { approved: true, by: "ada" });
  const conflict = { code: "CONFLICT" };
  await assert.rejects(log.operator.answer(first!.id, { approved: false, by: "bob" }), conflict);
  await log.settled();
  await assert.rejects(log.operator.answer(first!.id, { approved: false, by: "bob" }), conflict);
  await log.publish(Order({ key: "b", n: 1 }));
  await log.settled();
  const [second] = await Array.fromAsync(log.operator.approvals());
  await log.advance("2h");
  await log.settled();
  await assert.rejects(log.operator.answer(second!.id, { approved: true, by: "ada" }), conflict);
  assert.deepEqual(
    (answers as { approved: boolean; reason?: string }[]).map(({ approved, reason }) => [approved, reason]),
    [
      [true, undefined],
      [false, "expired"],
    ],
  );
});

test("text that would forge lines, or steer a terminal, stays text: in a dead letter, an approval and a trace", async (t) => {
  const cwd = shopFolder(t);
  const evil = "\u001b[2J\u001b]0;owned\u0007\r\nok  done\u009b31m";
  await using server = await ModelServer.start(() => ({ text: evil }));
  const agent = defineAgent(
    "reader",
    { on: Order, from: "beginning", model: server.model(), retry: { attemptsMax: 1 } },
    async (event, agent) => {
      const { text } = await agent.generate({ prompt: event.data.key });
      if (event.data.n === 2) throw new Error(text);
      await agent.approval("ask", { summary: text });
    },
  );
  await using log = await running(agent, sqlite(`sqlite:${join(cwd, "factlog.db")}`));
  const [receipt] = await log.log.publishAll([
    Order({ key: evil.replaceAll("\u0000", ""), n: 1 }),
    Order({ key: "k", n: 2 }),
  ]);
  await log.asked(/ask/);
  await log.died();
  for (const args of [["approvals"], ["dead", "list"], ["trace", receipt!.correlationId], ["tail"], ["status"]]) {
    const { stdout, stderr } = await factlog(t, args, { cwd });
    assert.ok(stdout.length > 0, args.join(" "));
    // oxlint-disable-next-line no-control-regex -- what must not be there
    assert.doesNotMatch(stdout + stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/u, args.join(" "));
    assert.doesNotMatch(stdout, /^ok {2}done/mu);
  }
});
