/**
 * Everything that tries to break the kernel, one after the other.
 * `npm run prove [-- --size ci|release] [--record]`; with --record the figures go into docs/reference/proof.md.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Entry, record } from "./ledger.ts";

interface Proof {
  readonly name: string;
  readonly script: string;
  readonly ci: readonly string[] | undefined;
  readonly release: readonly string[];
}
const proofs: readonly Proof[] = [
  { name: "simulation", script: "../sim/main.ts", ci: ["--seeds", "200"], release: ["--seeds", "40000"] },
  { name: "crash loop", script: "crash/main.ts", ci: ["--cycles", "50"], release: ["--cycles", "10000"] },
  { name: "power loss", script: "powerloss/main.ts", ci: ["--images", "300"], release: ["--images", "100000"] },
  { name: "faults", script: "faults/main.ts", ci: ["--size", "ci"], release: ["--size", "release"] },
  { name: "sabotage", script: "sabotage/main.ts", ci: ["--quick"], release: [] },
  { name: "soak", script: "soak/main.ts", ci: undefined, release: ["--minutes", "60"] },
];

const { values } = parseArgs({
  options: { size: { type: "string", default: "ci" }, record: { type: "boolean", default: false } },
});
const { size } = values;
if (size !== "ci" && size !== "release") {
  console.error("--size takes ci or release");
  process.exit(2);
}

const entries: Entry[] = [];
for (const { name, script, [size]: args } of proofs) {
  if (args !== undefined) entries.push(prove(name, script, args));
}
if (values.record) record({ ...circumstances(), size, entries });
process.exitCode = entries.every(({ ok }) => ok) ? 0 : 1;

function prove(name: string, script: string, args: readonly string[]): Entry {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const startedMs = performance.now();
  const { status, stdout } = spawnSync(process.execPath, ["--conditions=@factlog/source", path, ...args, "--json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 2 ** 28,
  });
  const lines = stdout.trim().split("\n");
  for (const line of lines.slice(0, -1)) console.log(line);
  const figures = figuresIn(lines.at(-1) ?? "");
  const ok = status === 0 && figures !== undefined;
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`${ok ? "ok" : "NOT OK"}  ${name} ${args.join(" ")}, ${seconds} s: ${lines.at(-1)}`);
  return { name, command: args.join(" "), ok, seconds, figures: figures ?? {} };
}

function figuresIn(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

/** When, of which commit, and where. */
function circumstances(): { readonly date: string; readonly commit: string; readonly machine: string } {
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  const changed = git("status", "--porcelain", "--", "src", "sim", "prove") !== "";
  const { sqlite, node } = process.versions;
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: git("rev-parse", "--short=12", "HEAD") + (changed ? ", with changes" : ""),
    machine: `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}, Node ${node}, SQLite ${sqlite}`,
  };
}
