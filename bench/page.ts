import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Measurement } from "./measure.ts";

/** One run, as a line of results.ndjson. */
export interface BenchRun {
  readonly at: string;
  readonly commit: string;
  readonly quick: boolean;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly results: readonly Measurement[];
  /** Of a run of peers. */
  readonly peers?: PeerServers;
}
/** By the peer's name: what was measured, and why what is missing is. */
export interface PeerServers {
  /** Nobody was singled out. */
  readonly whole: boolean;
  /** Processes that others had running on the machine, of the minute before. */
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly leftOut: Readonly<Record<string, string>>;
}
const results = new URL("results.ndjson", import.meta.url);
const page = fileURLToPath(new URL("../docs/reference/performance.md", import.meta.url));

/** What each measure is, by its name; the order of the page. */
const meanings: Readonly<Record<string, string>> = {
  "publish-1": "publish, one awaited after the other",
  "publish-100": "publish, 100 in flight",
  "publish-1000": "publish, 1,000 in flight",
  "batch-100": "publish in batches of 100",
  "batch-1000": "publish in batches of 1,000",
  "loop-delay": "event-loop delay while 1,000 publishes are in flight, p99",
  drain: "drain a backlog, summing a field of each event",
  "drain-no-data": "the same, handlers that do not look at the data (raw parses them)",
  "drain-two": "two subscriptions drained at once, deliveries against one",
  emit: "drain, each handler emits an event",
  store: "handlers on `sqliteStore()`, one insert each, 500 at once",
  "store-ratio": "the same, against a bare loop that reads, parses and inserts",
  "store-16": "the same handlers, 16 at once (the default)",
  "store-16-ratio": "the same, against that loop",
  "store-batch": "a batch subscription on `sqliteStore()`, up to 500 events, one insert each",
  "store-batch-ratio": "the same, against that loop",
  "latency-same-p50": "publish to handler, same process, p50",
  "latency-same-p99": "the same, p99",
  "latency-other-p50": "publish to handler in another process, p50",
  "latency-other-p99": "the same, p99",
  idle: "CPU of an idle worker",
  memory: "resident memory of a worker that drains a million events, `--max-semi-space-size=16`",
  "memory-no-flag": "the same without the flag",
  "memory-slope": "growth of the first of these over its second half",
  waiting: "resident memory more of a worker that starts while 100,000 retries wait",
  "waiting-made": "the same of the worker in which they failed",
  status: "`status` with half a million events pending",
  "failing-1": "healthy deliveries while 1% of the keys fail, against none",
  "failing-10": "healthy deliveries while 10% of the keys fail, against none",
  poison:
    "p99 of healthy keys at some 800 events a second while 10% of 10,000 keys fail and 1% hang (64 at a time), against none",
  listening: "drain while somebody listens on the diagnostics channel, against nobody",
  "subscriptions-10": "deliveries with 10 subscriptions in a process, against one",
  "subscriptions-100": "deliveries with 100 subscriptions in a process, against one",
  "http-publish": "POST of one event, 100 connections; the caller is on the same machine",
  "http-publish-bare": "the same against a bare server of Node's that parses and answers as much, and keeps nothing",
  "http-publish-cpu": "CPU of the server for each, against the bare server",
  "http-batch": "POST of batches of 100, 10 connections",
  "http-batch-bare": "the same against the bare server",
  "http-batch-cpu": "CPU of the server for each event of them, against the bare server",
  "http-readers": "memory that 5,000 idle readers of event streams add to their server",
  "http-readers-cpu": "its CPU meanwhile",
  "http-fan-out-p50": "1,000 events a second to 100 readers of event streams, from `publish` to each reader, p50",
  "http-fan-out-p99": "the same, p99",
  "http-fan-out-rate": "events a second that were really published meanwhile",
  "http-fan-out-cpu": "CPU of the server for each event to each reader",
  "http-stuck": "memory that a reader that never reads adds to its server, at the most",
  "growth-publish": "publish in batches to a log of 10 million events, against 10 thousand",
  "growth-drain": "drain at the end of a log of 10 million events, against 10 thousand",
  "growth-status": "`status` at 10 million events",
  "growth-dead-page": "first page of dead letters at 10 million events",
  "steps/cost": "one durable step, median, against a commit of one row",
  "steps/late": "a step among the last 100 of a run of 1,000, against the first 100",
  "steps/waiting": "resident memory more of a worker for which 10,000 runs wait",
  "steps/in-flight": "resident memory of a worker with 1,000 agents in flight, each waiting for its model",
  "steps/delta": "`ctx.delta` of a word while somebody follows, p99",
  "postgres/publish-100": "PostgreSQL 18: publish, 100 in flight",
  "postgres/drain": "PostgreSQL 18: drain a backlog, against a bare cursor",
  "postgres/latency-p50": "PostgreSQL 18: publish to handler in another process, p50",
  "postgres/latency-p99": "the same, p99",
  "postgres/horizon": "PostgreSQL 18: publish and handle while a writer and a snapshot are held open, against none",
};

function recordedRuns(): BenchRun[] {
  return readFileSync(results, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as BenchRun);
}

export function newestRun(): BenchRun {
  const whole = recordedRuns().findLast(
    (run) => !run.quick && run.results.some(({ name }) => name.startsWith("growth")),
  );
  if (whole === undefined) throw new Error("results.ndjson holds no whole run");
  return whole;
}

/** Measures that are younger than the newest whole run, each from the newest run that has it. */
function measuredApart(whole: BenchRun): readonly { readonly run: BenchRun; readonly one: Measurement }[] {
  const names = Object.keys(meanings).filter((name) => whole.results.every((each) => each.name !== name));
  return names.flatMap((name) => {
    const run = recordedRuns().findLast(({ quick, at, results: found }) => {
      return !quick && at > whole.at && found.some((each) => each.name === name);
    });
    return run === undefined ? [] : [{ run, one: run.results.find((each) => each.name === name)! }];
  });
}

/** The newest run of all peers that were at hand, if there has been one. */
export function newestPeersRun(): BenchRun | undefined {
  return recordedRuns().findLast(({ quick, peers }) => !quick && peers?.whole === true);
}

export function writePage(): void {
  writeFileSync(page, pageOf(newestRun(), newestPeersRun()));
}

/** docs/reference/performance.md. */
export function pageOf(run: BenchRun, peersRun: BenchRun | undefined): string {
  const apart = measuredApart(run);
  const found = [...run.results, ...apart.map(({ one }) => one)];
  const places = new Map(apart.map((each) => [placeOf(each.run), each.run]));
  const rows = Object.entries(meanings).flatMap(([name, meaning]) => {
    const one = found.find((each) => each.name === name);
    return one === undefined ? [] : [`| ${meaning} | ${figureOf(one)} | ${rawOf(one)} | ${targetOf(one)} |`];
  });
  const missed = found.filter((one) => met(one) === false).length;
  return `# Performance

Measured with \`npm run bench -- --record\`, which also writes this page: each figure in turn with the raw limit of the same
storage, in one run, median of at least three rounds. Absolute figures drift with the machine; ratios hold.

${placeOf(run)}. Events of some 330
bytes of JSON, 1,000 keys, one file in WAL mode, synced before \`publish\` resolves. ${missed} of ${found.filter(({ target }) => target !== null).length} targets are missed.

| What | Figure | Raw, or against | Ratio and target |
|---|---:|---:|---|
${rows.join("\n")}
${[...places].map(([place, { results: own }]) => `\nMeasured apart, on ${place}: ${own.map(({ name }) => `\`${name}\``).join(", ")}.\n`).join("")}
Raw publish is the same columns and unique index, FULL, one commit for all that waits, without validation or answers to
repeats (\`bench/raw/log.ts\`). Raw drain reads the same columns, verifies the same checksum and parses
(\`bench/raw/drain.ts\`). [What was tried for speed](../decisions/0002-speed.md) has the reasons for what is missed.

Raw publish on PostgreSQL, whose server has the same cores, is one connection that inserts all that waits with \`unnest\`, into the same
columns under the same keys; raw drain is a cursor over the same columns (\`bench/raw/postgres.ts\`, \`bench/measures/postgres.ts\`).
The transaction that is held open is as old as its round, some seconds.
[How that engine keeps the ports](../decisions/0004-postgres.md) has the reasons for what is missed there.

\`npm run bench\` repeats all of it; \`--only NAME\` one measure (\`publish-100\`, \`drain\`, \`growth\` and so on),
\`--quick\` a short form, \`--json\` a line for each.
${peersRun === undefined ? "" : peersSection(peersRun)}`;
}

function peersSection(run: BenchRun): string {
  const { versions = {}, leftOut = {}, load = 0 } = run.peers ?? {};
  const rows = Object.entries(versions).flatMap(([peer, version]) =>
    ["publish", "drain"].flatMap((job) => {
      const one = run.results.find(({ name }) => name === `peers/${peer}/${job}`);
      return one === undefined ? [] : [`| ${version} | ${job} | ${figureOf(one)} | ${rawOf(one)} | ${targetOf(one)} |`];
    }),
  );
  const missing = Object.entries(leftOut).map(([peer, why]) => `${peer} (${why})`);
  return `
## Beside peers

Measured with \`npm run bench:peers -- --record\`: the same events on Factlog and on the peer in turn, one process for
both, median of three rounds. Factlog is on SQLite, beside pg-boss and graphile-worker on the same PostgreSQL as they.
${placeOf(run)}, load of others at the start ${load.toFixed(1)}: above the number of cores, figures are too low
and ratios rough.

| Peer | What | Factlog | Peer | Ratio and target |
|---|---|---:|---:|---|
${rows.join("\n")}

Left out: ${missing.join(", ") || "none"}.

Everything is durable before it is acknowledged: Redis with \`appendfsync always\`, NATS with \`sync_interval: always\`,
RabbitMQ with a quorum queue of one node and confirms, PostgreSQL with \`fsync\` and \`synchronous_commit\`. Publish is 100 in flight,
un-batched by the caller; drain is a backlog, one consumer, an asynchronous handler that sums a field, until the last
acknowledgement. Each peer has the settings that are fast for it, written at the head of its file in
\`bench/peers/systems/\`. They do not promise the same: Factlog keeps order by key and answers a repeated id.

Servers are taken from the PATH (\`redis-server\`, \`nats-server\` 2.10 or later, \`rabbitmq-server\`), PostgreSQL from what
the tests run on; who is missing is named and left out. The peers' packages are installed into \`bench/peers\` by the first
run. \`--only NAME\` measures one, \`--quick\` and \`--json\` as above.
`;
}

const placeOf = ({ at, commit, machine }: BenchRun): string =>
  `${at.slice(0, 10)}, commit ${commit.slice(0, 12)}, ${machine.cores} x ${machine.cpu}, Node ${machine.node.slice(1)}`;

function met({ target, ratio, value, better }: Measurement): boolean | undefined {
  if (target === null) return undefined;
  return better === "higher" ? (ratio ?? value) >= target : (ratio ?? value) <= target;
}
function targetOf(one: Measurement): string {
  const ratio = one.ratio === null ? "" : `**${one.ratio.toFixed(2)}**`;
  const isMet = met(one);
  if (isMet === undefined) return ratio;
  return `${ratio} ${one.better === "higher" ? ">=" : "<="} ${one.target}: ${isMet ? "met" : "MISSED"}`.trim();
}
const figureOf = ({ value, unit }: Measurement): string => `${numberOf(value)} ${unit}`;
const rawOf = ({ raw }: Measurement): string => (raw === null ? "" : numberOf(raw));
const numberOf = (value: number): string =>
  Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
