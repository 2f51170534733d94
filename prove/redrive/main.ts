/**
 * A redrive of many dead letters whose worker is killed at 30 % and at 60 %: each ends done or dead, its effect once, each key
 * in the order of the log, as the receiver saw it. `node --conditions=@factlog/source prove/redrive/main.ts [--keys N]
 * [--each N] [--json]`
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { openLog } from "../../src/index.ts";
import { Child } from "../child.ts";
import { Fact } from "../facts.ts";
import { complaints } from "../judge.ts";
import { optionsOf } from "../options.ts";
import { errorsOnly } from "../say.ts";
import { eventually, inDirectory, pause } from "../scratch.ts";
import { appOf, type Arrived, isHopeless } from "./app.ts";

const options = optionsOf({ keys: 100, each: 100 });
const total = options.keys * options.each;
const silent = { ...errorsOnly, error: () => {} };

/** What arrived: each effect by its idempotency key once, in the order of arrival. */
const effects = new Map<string, Arrived>();
let repeats = 0;
const receiver = createServer((request, response) => {
  void json(request).then((body) => {
    const arrived = body as Arrived;
    if (effects.has(arrived.idempotencyKey)) repeats++;
    else effects.set(arrived.idempotencyKey, arrived);
    response.end();
  });
});
receiver.listen(0, "127.0.0.1");
await once(receiver, "listening");
const receiverUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;

const faults: string[] = [];
const startedMs = performance.now();
const figures = await inDirectory(async (path) => {
  const url = `sqlite:${path("log.db")}`;
  await using log = await openLog(url, { logger: silent });
  for (let n = 0; n < options.each; n++)
    await log.publishAll(
      Array.from({ length: options.keys }, (_, key) => Fact({ key: `k${key}`, n, pad: "" }, { id: `${key}-${n}` })),
    );
  await log.drain(appOf(undefined));
  const plan = await log.operator.redrives.plan();
  if (plan.deadLetters !== total) faults.push(`${plan.deadLetters} dead letters, not ${total}`);
  const { id } = await log.operator.redrives.start({}, { confirm: total });
  const redriveMs = performance.now();
  const killedAt: number[] = [];
  const reach = async (share: number): Promise<void> => {
    const worker = new Child("redrive/worker.ts", [url, receiverUrl], () => {});
    if (!(await eventually(() => effects.size >= total * share, 120_000))) faults.push(`never reached ${share}`);
    worker.kill();
    await worker.ended;
    killedAt.push(effects.size / total);
  };
  await reach(0.3);
  await reach(0.6);
  const worker = new Child("redrive/worker.ts", [url, receiverUrl], () => {});
  const isDone = async (): Promise<boolean> => (await log.operator.redrives.list())[0]?.state === "done";
  const ended = await eventually(async () => {
    await pause(200);
    return isDone();
  }, 240_000);
  if (!ended) faults.push("the job never ended");
  const seconds = (performance.now() - redriveMs) / 1000;
  worker.kill("SIGTERM");
  await worker.ended;
  const job = await log.operator.redrives.show(id);

  const dead = (await Array.fromAsync(log.operator.deadLetters())).map(({ eventId }) => eventId);
  const hopeless =
    options.keys * Array.from({ length: options.each }, (_, n) => n).filter((n) => isHopeless({ n })).length;
  if (dead.length !== hopeless) faults.push(`${dead.length} dead letters in the end, not ${hopeless}`);
  if (effects.size !== total - hopeless) faults.push(`${effects.size} effects, not ${total - hopeless}`);
  const lastOf = new Map<string, number>();
  let outOfOrder = 0;
  for (const { key, n } of effects.values()) {
    if (n <= (lastOf.get(key) ?? -1)) outOfOrder++;
    lastOf.set(key, n);
  }
  if (outOfOrder > 0) faults.push(`${outOfOrder} effects out of their key's order`);
  faults.push(...(await complaints(log)));
  return { killedAt, job: job.state, effects: effects.size, dead: dead.length, repeats, outOfOrder, seconds };
});
receiver.close();
const result = {
  ok: faults.length === 0,
  total,
  ...figures,
  tookMs: Math.round(performance.now() - startedMs),
  faults,
};
console.log(options.json ? JSON.stringify(result) : result);
process.exit(faults.length === 0 ? 0 : 1);
