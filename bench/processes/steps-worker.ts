/** A worker whose runs wait ("asleep"), has none ("none"), or has so many agents in flight ("agents" COUNT): what it holds. */
import { type App, defineApp, defineSubscription, openLog } from "factlog";
import { silent } from "../backlog.ts";
import { say } from "../child.ts";
import { OrderPlaced } from "../workload.ts";

const [, , file = "", how = "none", count = "0"] = process.argv;
const options = { on: OrderPlaced, from: how === "agents" ? "beginning" : "now", order: "none" } as const;
const allAsk = Promise.withResolvers<void>();
const answer = Promise.withResolvers<void>();

async function agents(): Promise<App> {
  const { durable } = await import("factlog/agent");
  const { generateText } = await import("ai");
  const { MockLanguageModelV4 } = await import("ai/test");
  let asking = 0;
  const noTokens = { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 };
  const model = new MockLanguageModelV4({
    doGenerate: async () => {
      if (++asking === Number(count)) allAsk.resolve();
      await answer.promise;
      return {
        content: [{ type: "text", text: "done" }],
        finishReason: { unified: "stop", raw: undefined },
        usage: { inputTokens: noTokens, outputTokens: { total: 1, text: 1, reasoning: 0 } },
        warnings: [],
      };
    },
  });
  const agent = defineSubscription("agents", { ...options, concurrency: Number(count) }, async (event, ctx) => {
    const order = await ctx.step("look up", () => event.data);
    await generateText({ model: durable(ctx, { model }).model, prompt: JSON.stringify(order) });
  });
  return defineApp({ name: "bench", subscriptions: [agent] });
}
function others(): App {
  const subscription = defineSubscription(how, options, (_, ctx) => ctx.sleep("long", "10d"));
  return defineApp({ name: "bench", subscriptions: [subscription] });
}

const log = await openLog(`sqlite:${file}`, { logger: silent });
const app = how === "agents" ? await agents() : others();
const worker = await log.work(app);
if (how === "agents") await allAsk.promise;
globalThis.gc?.();
const status = (await log.operator.status()).find(({ name }) => name === how);
const { rss } = process.memoryUsage();
say({ waiting: status?.waiting, megabytes: rss / 2 ** 20 });
answer.resolve();
await worker.stop();
await log.close();
process.disconnect();
