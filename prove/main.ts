/**
 * Everything that tries to break the kernel.
 * `npm run prove [-- --size ci|medium|release] [--only NAME] [--record]`; with --record the figures go into
 * docs/reference/proof.md.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Entry, record } from "./ledger.ts";

const sizes = ["ci", "medium", "release"] as const;
type Size = (typeof sizes)[number];
interface Proof {
  readonly name: string;
  readonly script: string;
  /** Its arguments for each size; absent: it is left out. */
  readonly args: Readonly<Partial<Record<Size, string>>>;
  /** Takes little of the machine, and its time: it runs beside the others. */
  readonly beside?: true;
}
const proofs: readonly Proof[] = [
  { name: "soak", script: "soak/main.ts", args: { medium: "--minutes 10", release: "--minutes 60" }, beside: true },
  {
    name: "simulation",
    script: "../sim/main.ts",
    args: { ci: "--seeds 200", medium: "--seeds 2000 --ops 500", release: "--seeds 40000 --ops 500" },
  },
  {
    name: "crash loop",
    script: "crash/main.ts",
    args: { ci: "--cycles 50", medium: "--cycles 1000", release: "--cycles 10000" },
  },
  {
    name: "crash loop of agents",
    script: "crash/main.ts",
    args: { ci: "--agents --cycles 15", medium: "--agents --cycles 100", release: "--agents --cycles 1000" },
  },
  {
    name: "power loss",
    script: "powerloss/main.ts",
    args: { ci: "--images 300", medium: "--images 10000", release: "--images 100000" },
  },
  {
    name: "faults",
    script: "faults/main.ts",
    args: { ci: "--size ci", medium: "--size ci", release: "--size release" },
  },
  {
    name: "fuzz",
    script: "fuzz/main.ts",
    args: { ci: "--requests 5000", medium: "--requests 50000", release: "--requests 1000000" },
  },
  { name: "sabotage", script: "sabotage/main.ts", args: { ci: "--quick", medium: "", release: "" } },
];

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "ci" },
    only: { type: "string", multiple: true },
    record: { type: "boolean", default: false },
  },
});
const size = sizes.find((each) => each === values.size);
const chosen = proofs.filter(({ name }) => values.only?.includes(name) ?? true);
if (size === undefined || chosen.length < (values.only?.length ?? 1)) {
  console.error(`--size takes ${sizes.join(", ")}; --only takes ${proofs.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

const startedAt = circumstances();
const beside = chosen.filter((proof) => proof.beside === true).map((proof) => prove(proof, size));
const entries: Entry[] = [];
for (const proof of chosen) if (proof.beside !== true) entries.push(...(await prove(proof, size)));
for (const run of beside) entries.push(...(await run));
if (values.record) record({ ...startedAt, size, entries });
process.exitCode = entries.every(({ ok }) => ok) ? 0 : 1;

async function prove({ name, script, args }: Proof, size: Size): Promise<readonly Entry[]> {
  const command = args[size];
  if (command === undefined) return [];
  const path = fileURLToPath(new URL(script, import.meta.url));
  const startedMs = performance.now();
  const own = command.split(" ").filter((arg) => arg !== "");
  const child = spawn(process.execPath, ["--conditions=@factlog/source", path, ...own, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [stdout, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  const lines = stdout.trim().split("\n");
  for (const line of lines.slice(0, -1)) console.log(line);
  const figures = figuresIn(lines.at(-1) ?? "");
  const ok = status === 0 && figures !== undefined;
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`${ok ? "ok" : "NOT OK"}  ${name} ${command}, ${seconds} s: ${lines.at(-1)}`);
  return [{ name, command, ok, seconds, figures: figures ?? {} }];
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
