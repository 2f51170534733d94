/** One reader over two server processes on one log, cut off again and again: it misses nothing and sees nothing twice. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, test, type TestContext } from "node:test";
import { defineApp, defineEvent, defineSubscription, openLog } from "factlog";
import { z } from "zod";
import type { Message } from "../../src/client/messages.ts";
import { messagesIn } from "../../src/client/messages.ts";
import { realEnv } from "../../src/env.ts";
import { Random } from "../../sim/random.ts";
import { freshFile } from "../runtime/support.ts";
import { serverNames, serverUrl, sql } from "../support/postgres.ts";

const kills = 200;
const Opened = defineEvent("Opened", { schema: z.object({ id: z.string() }), id: (data) => data.id });
const Told = defineEvent("Told", { schema: z.object({ n: z.int(), text: z.string() }) });

async function serverProcess(t: TestContext, url: string): Promise<string> {
  const child: ChildProcess = spawn(
    process.execPath,
    ["--conditions=@factlog/source", new URL("./server-process.ts", import.meta.url).pathname, url],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const ended = once(child, "exit");
  t.after(async () => {
    child.stdin!.end();
    assert.deepEqual(await ended, [0, null], "a server ends by itself, its streams with it");
  });
  const [line] = (await once(createInterface(child.stdout!), "line")) as [string];
  return line;
}

async function goesOnUnharmed(t: TestContext, url: string, seed: number): Promise<void> {
  const chance = new Random(seed);
  const gate = Promise.withResolvers<void>();
  const holder = defineSubscription("holder", { on: Opened, from: "beginning" }, () => gate.promise);
  const app = defineApp({ name: "shop", events: [Told], subscriptions: [holder] });
  const log = await openLog(url, { source: app.name });
  t.after(() => log.close());
  const worker = await log.work(app);
  const servers = [await serverProcess(t, url), await serverProcess(t, url)];
  const { correlationId } = await log.publish(Opened({ id: "c-1" }));
  const [path, published] = [`/v1/correlations/${correlationId}/stream`, ["c-1"]];
  const publish = async (count: number): Promise<void> => {
    const events = Array.from({ length: count }, (_, i) =>
      Told({ n: published.length + i, text: "x".repeat(chance.int(0, 2_000 - 1)) }, { correlationId }),
    );
    published.push(...(await log.publishAll(events)).map(({ id }) => id));
  };

  const seen: string[] = [];
  const places: number[] = [];
  let [lastId, ended, cut, moved, before] = [undefined as string | undefined, false, 0, 0, -1];
  while (!ended) {
    const which = chance.int(0, 2 - 1);
    if (before !== -1 && which !== before) moved++;
    before = which;
    const over = new AbortController();
    const headers: Record<string, string> = lastId === undefined ? {} : { "last-event-id": lastId };
    const response = await fetch(servers[which]! + path, { headers, signal: over.signal });
    assert.equal(response.status, 200);
    // What comes later is still to be told while the reader is cut off, but for the last time.
    const dies = cut < kills;
    await publish(chance.int(0, 12 - 1) + 1);
    if (!dies) gate.resolve();
    let left = dies ? chance.int(0, 15 - 1) : Number.POSITIVE_INFINITY;
    const body = dies ? cutOff(response.body!, chance.int(0, 12_000 - 1)) : response.body!;
    try {
      for await (const message of messagesIn(body)) {
        ended = take(message);
        // Of a reader that has seen everything nothing more would come: it is cut off as well.
        if (ended || left-- <= 0 || (dies && seen.length === published.length)) break;
      }
    } catch {
      // Cut off in the middle of a message.
    }
    over.abort();
    if (!ended) cut++;
    assert.ok(cut <= kills + 1, "the last stream goes on to its end");
  }
  await worker.stop();

  function take({ event, data, id }: Message): boolean {
    if (event === "end") return true;
    assert.equal(event, "event");
    lastId = id;
    places.push(Number(id!.split(".").at(-1)));
    seen.push((JSON.parse(data) as { id: string }).id);
    return false;
  }
  assert.deepEqual(seen, published, "the union is complete, in order, nothing twice");
  assert.ok(
    places.every((place, i) => i === 0 || place > places[i - 1]!),
    "ids strictly advance",
  );
  assert.equal(cut, kills);
  assert.ok(moved > kills / 4, `moved ${moved} times`);
  t.diagnostic(`seed ${seed}: cut off ${cut} times, moved ${moved} times, ${seen.length} events, end seen`);
}

/** As many bytes, and then nothing: a message may be cut in two. */
function cutOff(body: ReadableStream<Uint8Array>, bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk.subarray(0, left));
        left -= chunk.length;
        if (left <= 0) controller.error(new Error("cut off"));
      },
    }),
  );
}

test("sqlite: a reader that is cut off 200 times and moved between two servers", async (t) => {
  await goesOnUnharmed(t, `sqlite:${freshFile()}`, Math.floor(realEnv.random() * 1e9));
});

const postgres = serverNames[0] === undefined ? "no PostgreSQL here" : false;
test("postgres: a reader that is cut off 200 times and moved between two servers", { skip: postgres }, async (t) => {
  const server = await serverUrl();
  const database = `two_servers_${process.pid}`;
  await sql(server, `CREATE DATABASE ${database}`);
  after(() => sql(server, `DROP DATABASE ${database} WITH (FORCE)`));
  await goesOnUnharmed(t, server.replace(/postgres$/u, database), Math.floor(realEnv.random() * 1e9));
});
