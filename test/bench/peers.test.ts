/** What `npm run bench:peers` says of peers, without their servers: how fast they are is not tested. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { inDirectory, type Measurement } from "../../bench/measure.ts";
import { contest } from "../../bench/measures/peer.ts";
import { type Peer, peers, type Session } from "../../bench/peers/peer.ts";
import { RawLog } from "../../bench/raw/log.ts";

const withServer = ["redis-streams", "bullmq", "nats-jetstream", "rabbitmq-quorum"];

test("a peer whose server is not at hand is named as left out", () => {
  const only = withServer.flatMap((name) => ["--only", name]);
  const said = execFileSync(
    process.execPath,
    ["--conditions=@factlog/source", "bench/peers/main.ts", "--quick", "--json", ...only],
    { encoding: "utf8", env: { PATH: import.meta.dirname } },
  );
  assert.deepEqual(
    said
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
    [
      { name: "peers/redis-streams", leftOut: "redis-server is not on the PATH" },
      { name: "peers/bullmq", leftOut: "redis-server is not on the PATH" },
      { name: "peers/nats-jetstream", leftOut: "nats-server is not on the PATH" },
      { name: "peers/rabbitmq-quorum", leftOut: "rabbitmq-server is not on the PATH" },
    ],
  );
});

/** SQLite and nothing else, as a peer: it is there wherever Factlog is. */
const sqlite: Peer = {
  name: "raw-sqlite",
  server: "redis",
  client: "none",
  publish: 5_000,
  drain: 5_000,
  targets: { publish: 0.5, drain: null },
};

function rawSession(path: string, skipped: number): Session {
  const log = new RawLog(path);
  return {
    publish: (order) => log.append([order]),
    fill: (orders) => log.append(orders),
    drain: async (_count, handler) => {
      const db = new DatabaseSync(path, { readOnly: true });
      const rows = db.prepare("SELECT data FROM event WHERE position > ?").all(skipped);
      db.close();
      for (const { data } of rows) await handler(JSON.parse(String(data)));
    },
    close: async () => log.close(),
  };
}

const compete = (skipped: number): Promise<readonly Measurement[]> =>
  inDirectory((path) =>
    contest(
      sqlite,
      async (queue) => rawSession(path(`raw-${queue}.db`), skipped),
      { address: (log) => `sqlite:${path(`${log}.db`)}`, publish: 5_000, drain: 5_000 },
      { quick: true, size: (_full, quick) => quick },
    ),
  );

test("a peer's figures are two lines with Factlog's, the peer's and their ratio", async () => {
  const found = await compete(0);
  assert.deepEqual(
    found.map(({ value: _value, raw: _raw, ratio: _ratio, ...rest }) => rest),
    [
      { name: "peers/raw-sqlite/publish", unit: "events/s", target: 0.5, better: "higher" },
      { name: "peers/raw-sqlite/drain", unit: "deliveries/s", target: null, better: "higher" },
    ],
  );
  for (const { value, raw, ratio } of found) {
    assert.ok(value > 0 && raw !== null && raw > 0);
    assert.equal(ratio, value / raw);
  }
});

test("a peer that does not hand over every event has no figure", async () => {
  await assert.rejects(compete(1), /the handler summed \d+, it should be \d+/u);
});

test("each peer has an adapter and a package of the peers' own folder, and the product installs none of them", () => {
  const read = (
    path: string,
  ): { readonly dependencies: Readonly<Record<string, string>>; readonly workspaces?: unknown } =>
    JSON.parse(readFileSync(path, "utf8"));
  const own = read("bench/peers/package.json");
  const lock = readFileSync("package-lock.json", "utf8");
  for (const { name, client } of peers) {
    assert.ok(existsSync(`bench/peers/systems/${name}.ts`), name);
    assert.match(own.dependencies[client] ?? "", /^\d+\.\d+\.\d+$/u);
    assert.ok(!lock.includes(`"node_modules/${client}"`), client);
  }
});
