/** PgBouncer in transaction mode: refused for the log itself; stores and the outbox go through it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Pool } from "pg";
import { pgStore } from "../../../src/engines/postgres/index.ts";
import { defineApp, defineSubscription, openLog } from "../../../src/index.ts";
import { outbox } from "../../../src/outbox/index.ts";
import { Order } from "../../runtime/facts.ts";
import { sql } from "../../support/postgres.ts";
import { freePort, identity } from "../../support/postgres/server.ts";
import { place } from "./support.ts";

const skip =
  spawnSync("pgbouncer", ["--version"]).status === 0 ? false : "PgBouncer is not installed (apt-get install pgbouncer)";

/** The same database through a pooler. */
async function pooled(t: TestContext, url: string, mode: "session" | "transaction"): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "factlog-pooler-"));
  const { port } = new URL(url);
  const own = await freePort();
  const file = join(folder, "ini");
  writeFileSync(
    file,
    `[databases]\npostgres = host=127.0.0.1 port=${port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${own}
auth_type = any\nunix_socket_dir =\npool_mode = ${mode}\ndefault_pool_size = 8\nlogfile = ${join(folder, "log")}\n`.replace(
      "host=127.0.0.1",
      "user=postgres host=127.0.0.1",
    ),
  );
  const { uid, gid } = identity();
  if (uid !== undefined && gid !== undefined) for (const path of [folder, file]) chownSync(path, uid, gid);
  const pooler = spawn("pgbouncer", [file], { ...identity(), stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(pooler, "exit");
  t.after(async () => {
    pooler.kill("SIGQUIT");
    await ended;
    rmSync(folder, { recursive: true });
  });
  pooler.stderr.setEncoding("utf8");
  for await (const text of pooler.stderr.iterator({ destroyOnReturn: false }))
    if (/process up/u.test(String(text))) break;
  pooler.stderr.resume();
  return `postgres://postgres@127.0.0.1:${own}/postgres`;
}

test(
  "a pooler in transaction mode is refused with what to do, before anything is set; in session mode all works",
  { skip },
  async (t) => {
    const { url, schema } = await place(t);
    const lent = await pooled(t, url, "transaction");
    await assert.rejects(openLog(`${lent}?schema=${schema}`), {
      code: "NOT_SUPPORTED",
      message: /pooler in transaction mode.*server's address/u,
    });
    assert.deepEqual(await sql(url, "SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]), []);
    const [timeout] = await sql<[string]>(lent, "SELECT current_setting('statement_timeout')");
    assert.deepEqual(timeout, ["0"]);

    await using log = await openLog(`${await pooled(t, url, "session")}?schema=${schema}`);
    const seen: number[] = [];
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, ({ data }) => void seen.push(data.n));
    await log.publish(Order({ key: "k", n: 1 }));
    assert.equal((await log.drain(defineApp({ name: "t", subscriptions: [reader] }))).drained, true);
    assert.deepEqual(seen, [1]);
  },
);

test("a store's pool and the outbox go through a pooler in transaction mode", { skip }, async (t) => {
  const { url, schema, handle } = await place(t);
  await using log = await openLog(handle());
  const pool = new Pool({ connectionString: await pooled(t, url, "transaction"), max: 4 });
  try {
    await sql(url, `CREATE TABLE ${schema}_tables.effect(n int NOT NULL)`);
    const publish = async (n: number): Promise<void> => {
      const client = await pool.connect();
      await client.query("BEGIN");
      await outbox(client, { schema, source: "t" }).publish(Order({ key: `k${n}`, n }));
      await client.query("COMMIT");
      client.release();
    };
    await Promise.all(Array.from({ length: 20 }, (_, n) => publish(n)));
    const reader = defineSubscription(
      "reader",
      { on: Order, from: "beginning", store: pgStore(pool) },
      async ({ data }, { tx }) => {
        await tx.query(`INSERT INTO ${schema}_tables.effect VALUES ($1)`, [data.n]);
      },
    );
    assert.equal((await log.drain(defineApp({ name: "t", subscriptions: [reader] }))).drained, true);
    const rows = await sql<[number]>(url, `SELECT n FROM ${schema}_tables.effect ORDER BY n`);
    assert.deepEqual(
      rows.map(([n]) => n),
      Array.from({ length: 20 }, (_, n) => n),
    );
  } finally {
    await pool.end();
  }
});
