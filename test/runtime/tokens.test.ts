/** Access tokens: made, used, rotated, revoked, on each engine and between two processes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { type Env, realEnv } from "../../src/env.ts";
import { limits } from "../../src/limits.ts";
import type { Log } from "../../src/runtime/log.ts";
import { digestOf, idIn, isTokenOf, mint } from "../../src/runtime/access-token.ts";
import { engines, eventually, freshFile, open } from "./support.ts";

/** A clock that stands until it is moved. */
function clock(): { env: Env; move: (ms: number) => void } {
  let nowMs = realEnv.now();
  return {
    env: { ...realEnv, now: () => nowMs, monotonic: () => nowMs },
    move: (ms) => void (nowMs += ms),
  };
}
const refused = (promise: Promise<unknown>, code: string): Promise<void> => assert.rejects(promise, { code });

async function audits(log: Log): Promise<(readonly [string, Record<string, unknown>])[]> {
  const found: (readonly [string, Record<string, unknown>])[] = [];
  for await (const { type, data } of log.read({
    types: ["token-created", "token-rotated", "token-revoked"].map((act) => `factlog.operator.${act}`),
  }))
    found.push([type.replace("factlog.operator.", ""), data as Record<string, unknown>]);
  return found;
}

for (const { name, fresh } of engines) {
  describe(name, () => {
    test("a token is shown once, kept as a digest, and known again by any process until it is revoked", async () => {
      const handle = fresh();
      const { env, move } = clock();
      const here = await open(handle, { env });
      const there = await open(handle, { env: { ...env } });
      assert.equal(await there.tokens.any(), false);
      const made = await here.tokens.create({ name: "web", scopes: ["publish:Order*"], group: "g", by: "ada" });
      move(limits.tokensLookMs);
      assert.equal(await there.tokens.any(), true);
      const known = await there.tokens.verify(made.token);
      assert.deepEqual(
        [known?.id, known?.name, known?.scopes, known?.group],
        [made.id, "web", ["publish:Order*"], "g"],
      );
      assert.equal(JSON.stringify(await there.tokens.list()).includes(made.token), false);
      await there.tokens.revoke(made.id, { by: "bob" });
      assert.equal(await there.tokens.verify(made.token), undefined);
      move(limits.tokensLookMs);
      assert.equal(await here.tokens.verify(made.token), undefined);
      assert.equal(await here.tokens.any(), false);
      await refused(here.tokens.revoke(made.id), "NOT_FOUND");
      const [created, revoked] = await audits(here);
      assert.deepEqual([created?.[0], revoked?.[0]], ["token-created", "token-revoked"]);
      assert.deepEqual(
        [created?.[1]["token"], created?.[1]["by"], created?.[1]["scopes"], revoked?.[1]["by"]],
        [made.id, "ada", ["publish:Order*"], "bob"],
      );
      assert.equal(JSON.stringify(await audits(here)).includes(made.token.slice(21, 60)), false);
      await Promise.all([here.close(), there.close()]);
    });

    test("it expires at its time; its last use is written down once a minute and undoes nothing", async () => {
      const { env, move } = clock();
      const log = await open(fresh(), { env });
      const { token, id } = await log.tokens.create({ name: "web", scopes: ["*"], expiresIn: "1h" });
      const lastUsed = async (): Promise<number | undefined> => (await log.tokens.list())[0]?.lastUsedAt?.getTime();
      assert.equal(await lastUsed(), undefined);
      const firstMs = env.now();
      await log.tokens.verify(token);
      await eventually("its use is written down", async () => (await lastUsed()) === firstMs);
      move(limits.tokenUsedMs - 1);
      await log.tokens.verify(token);
      move(1);
      await log.tokens.verify(token);
      await eventually("the next use is written down", async () => (await lastUsed()) === firstMs + limits.tokenUsedMs);
      move(3_600_000 - limits.tokenUsedMs - 1);
      // Written down while it is revoked: one of the two waits, and it stays revoked.
      const [known] = await Promise.all([log.tokens.verify(token), log.tokens.revoke(id)]);
      assert.equal(known?.id, id);
      assert.deepEqual(await log.tokens.list(), []);
      const other = await log.tokens.create({ name: "web", scopes: ["*"], expiresIn: 1_000 });
      move(999);
      assert.equal((await log.tokens.verify(other.token))?.id, other.id);
      move(1);
      assert.equal(await log.tokens.verify(other.token), undefined);
      assert.equal(await log.tokens.any(), true, "an expired token still says that tokens are asked for");
      await log.close();
    });

    test("a rotated token goes on beside the new one for its time of grace, with the same rights", async () => {
      const { env, move } = clock();
      const log = await open(fresh(), { env });
      const old = await log.tokens.create({ name: "web", scopes: ["read:events"], group: "g", expiresIn: "30d" });
      move(86_400_000);
      const next = await log.tokens.rotate(old.id, { grace: "1h" });
      assert.deepEqual([next.name, next.scopes, next.group], ["web", ["read:events"], "g"]);
      assert.equal(next.expiresAt!.getTime() - env.now(), 30 * 86_400_000);
      move(3_599_999);
      assert.deepEqual(
        [(await log.tokens.verify(old.token))?.id, (await log.tokens.verify(next.token))?.id],
        [old.id, next.id],
      );
      move(1);
      assert.deepEqual(
        [(await log.tokens.verify(old.token))?.id, (await log.tokens.verify(next.token))?.id],
        [undefined, next.id],
      );
      await log.tokens.rotate(next.id, { grace: 0 });
      assert.equal(await log.tokens.verify(next.token), undefined);
      assert.deepEqual(
        (await audits(log)).map(([act]) => act),
        ["token-created", "token-created", "token-rotated", "token-created", "token-rotated"],
      );
      await log.close();
    });
  });
}

test("no file of the store holds a token, before and after it is revoked", async () => {
  const file = freshFile();
  const log = await open(sqlite(`sqlite:${file}`));
  const { token, id } = await log.tokens.create({ name: "web", scopes: ["*"] });
  const secret = token.split("_")[2]!.slice(0, 32);
  const held = (): boolean => [file, `${file}-wal`].some((path) => readFileSync(path).includes(secret));
  assert.ok(readFileSync(`${file}-wal`).includes(id));
  assert.equal(held(), false);
  await log.tokens.revoke(id);
  assert.equal(held(), false);
  await log.close();
});

test("what is no token is told without a look, what is another's never fits", () => {
  const { id, token } = mint();
  assert.equal(idIn(token), id);
  const last = token.endsWith("0") ? "1" : "0";
  for (const bad of [
    "",
    "x",
    token.slice(0, -1),
    token + "0",
    token.slice(0, -1) + last,
    token.toUpperCase(),
    token.replace(/_.{12}_/u, "_0123456789ab_"),
    ` ${token}`,
    `${token}\n`,
    token.repeat(20_000),
    "factlog_____",
  ])
    assert.equal(idIn(bad), undefined, bad.slice(0, 100));
  const stored = { name: "a", scopes: [], createdMs: 0, digest: digestOf(token).toString("hex") };
  assert.equal(isTokenOf(stored, token), true);
  assert.equal(isTokenOf(stored, mint().token), false);
  assert.equal(isTokenOf(undefined, token), false);
  assert.equal(isTokenOf(stored, "x".repeat(1_000_000)), false);
  assert.equal(new Set(Array.from({ length: 1_000 }, () => mint().token)).size, 1_000);
});

test("rights that mean nothing are refused", async () => {
  const log = await open("memory:");
  const make = (fields: object): Promise<unknown> => log.tokens.create({ name: "a", scopes: ["*"], ...fields });
  for (const scopes of [
    [],
    ["publish:"],
    ["publsh:*"],
    ["read:event"],
    [""],
    [7],
    ["x".repeat(300)],
    Array(101).fill("*"),
  ])
    await refused(make({ scopes }), "INVALID_OPTION");
  for (const scopes of [["*"], ["read:*"], ["admin:dead"], ["publish:Order*"], ["*:dead"]]) await make({ scopes });
  await refused(make({ name: "" }), "INVALID_ATTRIBUTE");
  await refused(make({ name: "a\nb" }), "INVALID_ATTRIBUTE");
  await refused(make({ group: "" }), "INVALID_ATTRIBUTE");
  await refused(make({ expiresIn: 0 }), "INVALID_OPTION");
  await refused(make({ expiresIn: "1hour" }), "INVALID_OPTION");
  await refused(
    make({ scopes: Array.from({ length: 100 }, (_, i) => `publish:${"x".repeat(190)}${i}`) }),
    "INVALID_OPTION",
  );
  await refused(log.tokens.rotate("none"), "NOT_FOUND");
  await log.close();
});
