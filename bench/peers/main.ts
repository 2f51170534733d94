/**
 * Measures peers beside Factlog, in turn and in one run on one machine, each where its server is at hand:
 * `npm run bench:peers [-- --json --quick --record --only NAME]`. Their packages are installed into this folder alone.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exposeCollector, inDirectory, type Measurement, type Settings } from "../measure.ts";
import { contest, type Ours } from "../measures/peer.ts";
import type { PeerServers } from "../page.ts";
import { record } from "../record.ts";
import { header, rowOf } from "../table.ts";
import { type Open, type Peer, peers } from "./peer.ts";
import { findServer, type Running } from "./servers.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
  },
});
const chosen = peers.filter(({ name }) => values.only?.includes(name) ?? true);
if (chosen.length === 0) {
  console.error(`no peer is named so: choose among ${peers.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
// The servers end with this process: see servers.ts.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));
exposeCollector();

const settings: Settings = { quick: values.quick, size: (full, quick) => (values.quick ? quick : full) };
const load = loadavg()[0]!;
const found: Measurement[] = [];
const versions: Record<string, string> = {};
const leftOut: Record<string, string> = {};
if (!values.json) console.log(header("peer"));
// A server that is being stopped does not keep this process from ending.
const awake = setInterval(() => {}, 60_000);
for (const peer of chosen) await meet(peer);
clearInterval(awake);
const servers: PeerServers = { whole: values.only === undefined, load, versions, leftOut };
if (values.record) record(found, values.quick, servers);

async function meet(peer: Peer): Promise<void> {
  const server = findServer(peer.server);
  if ("missing" in server) {
    leftOut[peer.name] = server.missing;
    tell(`${peer.name} is left out: ${server.missing}`, { name: `peers/${peer.name}`, leftOut: server.missing });
    return;
  }
  installPackages();
  const running = await server.start();
  try {
    versions[peer.name] = `${running.version}, ${clientOf(peer)}`;
    tell(`${peer.name}: ${versions[peer.name]}`, { name: `peers/${peer.name}`, measured: versions[peer.name] });
    for (const measurement of await measure(peer, running)) {
      found.push(measurement);
      tell(rowOf(measurement), measurement);
    }
  } finally {
    await running.stop();
  }
}

/** Peers on PostgreSQL meet Factlog on the same server, the others Factlog on SQLite. */
async function measure(peer: Peer, { address }: Running): Promise<readonly Measurement[]> {
  const { open } = (await import(new URL(`systems/${peer.name}.ts`, import.meta.url).href)) as { readonly open: Open };
  const against = (ours: Ours): Promise<readonly Measurement[]> =>
    contest(peer, (queue) => open(address, queue), ours, settings);
  return peer.server === "postgres"
    ? against({ address: (log) => `${address}?schema=factlog_${log}`, publish: 30_000, drain: 60_000 })
    : inDirectory((path) =>
        against({ address: (log) => `sqlite:${path(`${log}.db`)}`, publish: 60_000, drain: 100_000 }),
      );
}

/** Into this folder, from its own lock file, the first time that a peer is there to be measured. */
function installPackages(): void {
  if (existsSync(new URL("node_modules", import.meta.url))) return;
  const folder = fileURLToPath(new URL(".", import.meta.url));
  execFileSync("npm", ["ci", "--prefix", folder], { stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
}

function clientOf(peer: Peer): string {
  const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return `${peer.client} ${dependencies[peer.client]}`;
}

function tell(text: string, line: object): void {
  console.log(values.json ? JSON.stringify(line) : text);
}
