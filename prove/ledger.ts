import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** What one script found. */
export interface Entry {
  readonly name: string;
  readonly command: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly figures: Readonly<Record<string, unknown>>;
}
export interface Run {
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly size: string;
  readonly entries: readonly Entry[];
}

const path = fileURLToPath(new URL("../docs/reference/proof.md", import.meta.url));
const head = `# Proof

What tried to break the kernel, and what came of it, newest first. Written by \`npm run prove -- --record\`; every line
can be repeated with the script of its name.

| Script | What it does | What must not happen |
|---|---|---|
| \`npm run sim\` | the runtime and the engines under a virtual clock, faults drawn per seed | a violated invariant; two runs of one seed that differ |
| \`npm run crash\` | two publishers and three workers as processes, SIGKILL for one after the other | an acknowledged fact or an effect lost, an effect twice, a key out of order |
| \`npm run crash -- --agents\` | the same with agents: model calls, tools, steps side by side, sleeps | a recorded step that runs again, a run that does not come to its end |
| \`npm run powerloss\` | the disk rebuilt as a power loss may leave it, from the system calls of a real process | an acknowledged fact lost, a file that does not open or whose sums are wrong |
| \`npm run faults\` | disk errors, a full disk, stopped workers, jumping clocks, flipped bits, poison | a wrong payload served, a stale result that counts, a process that goes on after its disk failed |
| \`npm run sabotage\` | bugs planted in the sources, each to be seen by one of these proofs or a suite of tests | a bug that its layer does not see, a layer that complains of the sources as they are |
| \`npm run fuzz\` | requests near to what the OpenAPI document asks for, damaged more or less, against a real server | an answer that blames the server, one that never comes, an end of the process |
| \`npm run soak\` | 500 events a second on five subscriptions | memory or descriptors that go on growing |
`;

/** Puts a run at the top of the ledger. */
export function record(run: Run): void {
  const known = existsSync(path) ? readFileSync(path, "utf8") : "";
  const at = known.indexOf("\n## ");
  const earlier = at < 0 ? "" : known.slice(at);
  writeFileSync(path, `${head}\n${shown(run)}${earlier}`);
}

function shown({ date, commit, machine, size, entries }: Run): string {
  const rows = entries.map(
    ({ name, command, ok, seconds, figures }) =>
      `| ${name} \`${command}\` | ${ok ? "ok" : "NOT OK"} | ${seconds} s | ${figuresShown(figures)} |`,
  );
  return [
    `## ${date}, size ${size}`,
    "",
    `Commit ${commit}. ${machine}.`,
    "",
    "| Proof | Result | Took | Figures |",
    "|---|---|---:|---|",
    ...rows,
    "",
  ].join("\n");
}

function figuresShown(figures: Readonly<Record<string, unknown>>): string {
  return Object.entries(figures)
    .filter(([name, value]) => name !== "ok" && name !== "seconds" && !Array.isArray(value))
    .map(([name, value]) => `${name} ${isRecord(value) ? `(${figuresShown(value)})` : String(value)}`)
    .join(", ");
}
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
