import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { cpus } from "node:os";
import type { Measurement } from "./measure.ts";
import { type PeerServers, writePage } from "./page.ts";

/** Adds a run to the history: what, where and of which commit. The newest figures are drawn in docs/reference. */
export function record(results: readonly Measurement[], quick: boolean, peers?: PeerServers): void {
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version };
  const commit = git("rev-parse", "HEAD") + (git("status", "--porcelain", "--", "src") === "" ? "" : "-dirty");
  const line = { at: new Date().toISOString(), commit, quick, machine, results, ...(peers && { peers }) };
  appendFileSync(new URL("results.ndjson", import.meta.url), `${JSON.stringify(line)}\n`);
  if (!quick) writePage();
}
