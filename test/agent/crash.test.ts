import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { eventually, freshFile, open, unwell } from "../runtime/support.ts";
import { type Message, ModelServer } from "../support/model-server.ts";
import { Order } from "./support.ts";

const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
});
function worker(url: string, modelUrl: string, said: string[]): ChildProcess {
  const file = new URL("worker.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--conditions=@factlog/source", file, url, modelUrl], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  createInterface({ input: child.stdout }).on("line", (line) => void said.push(line));
  return child;
}
const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => void child.once("exit", () => (children.delete(child), resolve())));

test("killed again and again in mid-run: by the server's own count nothing recorded is asked for again, and a call in flight once more", async () => {
  const rounds = 4;
  const kills = 3;
  let victim: ChildProcess | undefined;
  /** Contents that were in flight at a kill, and how often. */
  const inFlight = new Map<string, number>();
  const open_ = new Set<string>();
  let killed = 0;
  const never = new Promise<void>(() => {});
  const notes = (messages: readonly Message[]): number => messages.filter(({ role }) => role === "tool").length;
  await using server = await ModelServer.start((messages) => {
    const done = notes(messages);
    const content = JSON.stringify(messages);
    open_.add(content);
    // The left loop dies once in each of its first rounds, at the first time that it asks.
    if (killed < kills && done === killed && String(messages[0]?.content).endsWith("left")) {
      killed++;
      for (const each of open_) inFlight.set(each, (inFlight.get(each) ?? 0) + 1);
      open_.clear();
      victim?.kill("SIGKILL");
      return { when: never };
    }
    queueMicrotask(() => open_.delete(content));
    return done < rounds ? { tools: [{ name: "note", input: { n: done } }] } : { text: "end" };
  });
  const url = `sqlite:${freshFile()}`;
  const log = await open(url);
  await log.publish(Order({ key: "k", n: 1 }));
  const said: string[] = [];
  for (let life = 0; life < kills; life++) {
    victim = worker(url, server.url, said);
    await ended(victim);
  }
  victim = worker(url, server.url, said);
  await eventually("it is done", async () => (await log.operator.status())[0]?.closed === 1);
  victim.kill("SIGTERM");
  await ended(victim);
  assert.equal(killed, kills);
  assert.equal(server.asked.size, 2 * (rounds + 1));
  assert.ok(inFlight.size >= kills);
  // An answer may have been on its way, or not yet recorded, when the process died: the right loop is as far as it came.
  const right = (content: string): boolean => content.includes("k right");
  for (const [content, count] of server.asked) {
    if (!right(content)) assert.equal(count, 1 + (inFlight.get(content) ?? 0), content);
  }
  const repeated = [...server.asked]
    .filter(([content]) => right(content))
    .reduce((sum, [, count]) => sum + count - 1, 0);
  assert.ok(repeated <= kills, `the right loop repeated ${repeated} calls at ${kills} kills`);
  // The same for the tools: each loop notes 0 to 3.
  assert.ok(said.length >= 2 * rounds && said.length <= 2 * rounds + 2 * kills, said.join());
  assert.deepEqual(await unwell(log), []);
  await log.close();
});
