/** What bounds a stream, on a clock that is moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Env, realEnv, type Timer } from "../../src/env.ts";
import { streamBounds, Streams } from "../../src/http/streams.ts";

class Clock {
  readonly #timers = new Set<{ delayMs: number; task: () => void }>();
  readonly env: Env = {
    ...realEnv,
    after: (delayMs, task): Timer => {
      const timer = { delayMs, task };
      this.#timers.add(timer);
      return { cancel: () => void this.#timers.delete(timer) };
    },
  };
  /** Runs what waits for so long, if anything does. */
  ring(delayMs: number): boolean {
    const due = [...this.#timers].filter((timer) => timer.delayMs === delayMs);
    for (const timer of due) this.#timers.delete(timer);
    for (const timer of due) timer.task();
    return due.length > 0;
  }
  get waiting(): number {
    return this.#timers.size;
  }
}

/** A stream of messages of 1,000 characters without end, and what happens to it. */
function flood(clock: Clock, bytesMax: number) {
  const told: string[] = [];
  const streams = new Streams({ ...streamBounds, bytesMax }, clock.env);
  let made = 0;
  const body = streams.start({
    async *messages(signal) {
      while (!signal.aborted) {
        made++;
        yield `${"x".repeat(70_000)}\n\n`;
      }
    },
    caller: undefined,
    stillAllowed: async () => allowed,
    cut: () => told.push("cut") > 0,
    failed: (error) => told.push(String(error)),
  });
  let allowed = true;
  const forbid = (): void => void (allowed = false);
  return { streams, body, told, forbid, made: () => made };
}

/** Lets everything that can happen now happen. */
const turns = async (until: () => boolean): Promise<void> => {
  for (let i = 0; i < 1_000; i++) {
    if (until()) return;
    await new Promise(setImmediate);
  }
  assert.fail(`it never came to ${until.toString()}`);
};

test("what waits for a reader is bounded; one that comes back to life in time is told why it ends", async () => {
  const clock = new Clock();
  const { body, made, streams, told } = flood(clock, 200_000);
  await turns(() => made() === 3);
  await turns(() => clock.ring(streamBounds.stallMs));
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  assert.match(text, /^retry: 1000\n\n(?:x{70000}\n\n){3}event: reset\ndata: \{"reason":"slow-reader"\}\n\n$/u);
  assert.equal(made(), 3);
  assert.deepEqual(told, []);
  assert.equal(streams.size, 0);
  assert.equal(clock.waiting, 0);
});

test("one that never reads is cut off, and nothing is left of it", async () => {
  const clock = new Clock();
  const { streams, told, made } = flood(clock, 200_000);
  await turns(() => made() === 3);
  await turns(() => clock.ring(streamBounds.stallMs));
  await turns(() => clock.ring(streamBounds.stallMs));
  await turns(() => streams.size === 0);
  assert.deepEqual(told, ["cut"]);
  assert.equal(clock.waiting, 0);
});

test("a reader that takes, however slowly, is waited for", async () => {
  const clock = new Clock();
  const { body, made, streams } = flood(clock, 200_000);
  const reader = body.getReader();
  for (let read = 1; read <= 20; read++) {
    await turns(() => made() >= read + 1);
    assert.equal((await reader.read()).done, false);
  }
  assert.ok(made() <= 24);
  await reader.cancel();
  await turns(() => streams.size === 0);
  assert.equal(clock.waiting, 0);
});

test("a reader whose right is taken away is sent off at the next look", async () => {
  const clock = new Clock();
  const { body, forbid, streams } = flood(clock, 200_000);
  const reader = body.getReader();
  assert.ok(clock.ring(streamBounds.accessMs));
  await turns(() => clock.waiting >= 2);
  forbid();
  assert.ok(clock.ring(streamBounds.accessMs));
  while (!(await reader.read()).done);
  await turns(() => streams.size === 0);
});
