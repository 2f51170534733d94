/** Several processes on one file: writing at once, hearing each other, knowing who is dead. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { event, idsOf, readAll } from "../../../src/conformance/build.ts";
import type { LeaseRequest, LeaseState, SessionView } from "../../../src/engine/ledger.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { realEnv, type Env } from "../../../src/env.ts";
import { sqlite } from "../../../src/engines/sqlite/index.ts";
import { Child, closeEngine, openBeneath, openEngine, place, program } from "./support.ts";

const idsFrom = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name}-${i}`);

suite("two processes that write", () => {
  test("lose nothing, and number everything once", async (t) => {
    const path = place(t);
    const children = [await Child.on(t, path), await Child.on(t, path)];
    const { log } = await openEngine(t, path);
    const rounds = 20;
    const acknowledged: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const orders = children.map((child, i) =>
        child.tell<number[]>({ act: "append", ids: idsFrom(`${i}-${round}`, 50), type: `T${i}` }),
      );
      const mine = Promise.all(
        idsFrom(`me-${round}`, 50).map((id) => log.append([event({ id, type: "T2", key: id })])),
      );
      acknowledged.push(...(await Promise.all(orders)).flat(), ...(await mine).map(([one]) => one!.position));
    }
    const total = 3 * 50 * rounds;
    assert.deepEqual(
      acknowledged.toSorted((a, b) => a - b),
      Array.from({ length: total }, (_, i) => i + 1),
    );
    assert.equal((await readAll(log)).length, total);
    const counts = { T0: total / 3, T1: total / 3, T2: total / 3 };
    assert.deepEqual(Object.fromEntries((await log.count()).appended), counts);
    for (const child of children) assert.deepEqual(await child.tell({ act: "count" }), counts);
  });

  test("one identity from both is one event", async (t) => {
    const path = place(t);
    const children = [await Child.on(t, path), await Child.on(t, path)];
    const ids = idsFrom("same", 300);
    const [first, second] = await Promise.all(
      children.map((child) => child.tell<number[]>({ act: "append", ids, type: "T" })),
    );
    assert.deepEqual(first, second);
    assert.deepEqual(await children[0]!.tell({ act: "count" }), { T: 300 });
  });
});

/** Lets a process publish until `acks` came back, and kills it in the middle of what it is doing. */
async function killed(path: string, acks: number): Promise<string[]> {
  const child = spawn(process.execPath, [program("flood"), path], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let text = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    text += chunk as string;
    if (text.length > acks * 37) child.kill("SIGKILL");
  }
  await ended;
  return text.split("\n").slice(0, -1);
}

test("a process killed at any moment loses nothing that it acknowledged, and leaves the sums right", async (t) => {
  const path = place(t);
  for (let cycle = 1; cycle <= 6; cycle++) {
    const acknowledged = await Promise.all([killed(path, 37 * cycle), killed(path, 53 * cycle)]);
    const engine = await sqlite(path).open(realEnv);
    const stored = new Set(idsOf(await readAll(engine.log)));
    const lost = acknowledged.flat().filter((id) => !stored.has(id));
    assert.deepEqual(lost, []);
    assert.equal((await engine.log.count()).appended.get("Flood"), stored.size);
    assert.deepEqual(
      (await engine.inspect()).filter(({ ok }) => !ok),
      [],
    );
    await closeEngine(engine);
  }
});

/** Waits that nothing ends but the bell: no timer of this process ever runs out. */
const withoutTimers: Env = { ...realEnv, after: () => ({ cancel: () => undefined }) };
const never = new AbortController().signal;

suite("the bell", () => {
  test("is heard in another process", async (t) => {
    const path = place(t);
    const { log } = await openEngine(t, path, { env: withoutTimers });
    const child = await Child.on(t, path);
    for (let i = 0; i < 20; i++) {
      const woken = log.wake(60_000, never);
      await child.tell({ act: "append", ids: [`ring-${i}`], type: "T" });
      await woken;
      assert.equal((await log.count()).heads.get(0), i + 1);
    }
  });

  test("is heard too where it rang before the wait", async (t) => {
    const path = place(t);
    const { log } = await openEngine(t, path, { env: withoutTimers });
    const child = await Child.on(t, path);
    await child.tell({ act: "append", ids: ["early"], type: "T" });
    await log.wake(60_000, never);
    assert.equal((await log.count()).heads.get(0), 1);
  });

  test("that cannot be heard is replaced by looking", async (t) => {
    const path = place(t);
    mkdirSync(`${path}-bell`);
    const { log } = await openEngine(t, path);
    const child = await Child.on(t, path);
    const woken = log.wake(60_000, never);
    await child.tell({ act: "append", ids: ["unheard"], type: "T" });
    await woken;
  });

  test("does not grow", async (t) => {
    const path = place(t);
    const { log } = await openEngine(t, path);
    for (let i = 0; i < 10; i++) await log.append([event()]);
    assert.equal(statSync(`${path}-bell`).size, 1);
  });

  test("each waiter of this process is woken", async (t) => {
    const { log } = await openEngine(t, place(t), { env: withoutTimers });
    const waiting = Array.from({ length: 5 }, () => log.wake(60_000, new AbortController().signal));
    await log.append([event()]);
    await Promise.all(waiting);
  });

  test("one who came late has not missed what another one heard", async (t) => {
    const { log } = await openEngine(t, place(t), { env: withoutTimers });
    const [a, b] = [new AbortController().signal, new AbortController().signal];
    const first = [log.wake(60_000, a), log.wake(60_000, b)];
    await log.append([event()]);
    await Promise.all(first);
    const hearing = log.wake(60_000, a);
    await log.append([event()]);
    await hearing;
    await log.wake(60_000, b);
  });
});

function lease({ ledger }: Engine, request: Partial<LeaseRequest> = {}): Promise<LeaseState> {
  const nothing = { leaseMs: 60_000, serves: [], dead: [], crashDueMs: 0, giveBack: [], release: [], want: [] };
  return ledger.lease({ ...nothing, ...request });
}

interface Joined {
  readonly session: number;
  readonly sessions: readonly SessionView[];
}
const goneOf = ({ sessions }: Joined, session: number): boolean | undefined =>
  sessions.find((one) => one.session === session)?.gone;

suite("a session's lock", () => {
  test("tells a killed process from a living one, at once", async (t) => {
    const path = place(t);
    const engine = await openEngine(t, path);
    const [killed, stopped] = [await Child.on(t, path), await Child.on(t, path)];
    const { session: one } = await killed.tell<Joined>({ act: "join" });
    const { session: two } = await stopped.tell<Joined>({ act: "join" });
    stopped.process.kill("SIGSTOP");
    const me = await lease(engine);
    assert.deepEqual([goneOf(me, one), goneOf(me, two), goneOf(me, me.session)], [false, false, false]);
    await killed.end("SIGKILL");
    const after = await lease(engine, { session: me.session });
    assert.deepEqual(
      [goneOf(after, one), goneOf(after, two)],
      [true, false],
      "a process that stands still is not dead",
    );
  });

  test("is seen by others", async (t) => {
    const path = place(t);
    const engine = await openEngine(t, path);
    const { session } = await lease(engine);
    const child = await Child.on(t, path);
    assert.equal(goneOf(await child.tell<Joined>({ act: "join" }), session), false);
  });

  test("is not dropped by anything else that this process does with the file", async (t) => {
    const path = place(t);
    const engine = await openEngine(t, path);
    const { session } = await lease(engine);
    const second = await sqlite(path).open(realEnv);
    const { session: other } = await lease(second);
    assert.equal(goneOf(await lease(second, { session: other }), session), false);
    await lease(second, { session: other, leave: true });
    await closeEngine(second);
    await lease(engine, { session });
    const child = await Child.on(t, path);
    assert.equal(goneOf(await child.tell<Joined>({ act: "join" }), session), false);
  });

  test("is free when the engine was closed without leaving", async (t) => {
    const path = place(t);
    const first = await sqlite(path).open(realEnv);
    const { session } = await lease(first);
    await closeEngine(first);
    assert.equal(goneOf(await lease(await openEngine(t, path)), session), true);
  });

  test("leaves no file behind: leave, death, and what was left over", async (t) => {
    const path = place(t);
    const engine = await openEngine(t, path);
    const { session } = await lease(engine);
    const file = (id: number): string => `${path}-session-${id}`;
    assert.ok(existsSync(file(session)));

    const child = await Child.on(t, path);
    const { session: dead } = await child.tell<Joined>({ act: "join" });
    await child.end("SIGKILL");
    const { sessions } = await lease(engine, { session });
    const seen = sessions.filter((one) => one.session === dead);
    await lease(engine, { session, dead: seen });
    assert.equal(existsSync(file(dead)), false);

    await lease(engine, { session, leave: true });
    assert.equal(existsSync(file(session)), false);

    writeFileSync(file(77), "");
    writeFileSync(`${path}-session-notes`, "");
    const { session: next } = await lease(engine);
    assert.deepEqual([existsSync(file(77)), existsSync(`${path}-session-notes`)], [false, true]);
    await lease(engine, { session: next, leave: true });
  });

  test("whoever was declared dead joins anew, with a new lock", async (t) => {
    const path = place(t);
    const [zombie, other] = [await openEngine(t, path), await openEngine(t, path)];
    const { session } = await lease(zombie);
    const { session: mine, sessions } = await lease(other);
    await lease(other, { session: mine, dead: sessions.filter((one) => one.session === session) });
    await assert.rejects(lease(zombie, { session }), /declared dead/);
    const anew = await lease(zombie);
    assert.equal(goneOf(await lease(other, { session: mine }), anew.session), false);
  });

  test("a session in memory has none, and says so", async (t) => {
    const engine = await openEngine(t, ":memory:");
    assert.equal(engine.ledger.capabilities.instantDeath, false);
    assert.deepEqual(
      (await lease(engine)).sessions.map(({ gone }) => gone),
      [false],
    );
  });
});

test("an idle wait costs next to nothing", async (t) => {
  const store = await openBeneath(t, place(t));
  const before = process.cpuUsage();
  const since = performance.now();
  for (let i = 0; i < 8; i++) await store.bell.wait(250, never);
  const used = process.cpuUsage(before);
  const share = (used.user + used.system) / 1_000 / (performance.now() - since);
  assert.ok(share < 0.02, `${(share * 100).toFixed(2)}% of a processor`);
});
