import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Layer } from "./layers.ts";

export interface Verdict {
  /** Its first complaint; it was stopped there. */
  readonly complaint: string | undefined;
  /** It came to its end and was content. */
  readonly green: boolean;
  /** How it ended where it neither complained nor was content. */
  readonly ending: string;
  readonly seconds: number;
}

/** A layer that takes longer stands still. */
const layerMaxMs = 300_000;

/** Groups of processes that run: whatever a proof starts belongs to its group and goes with it. */
const groups = new Set<number>();
process.on("exit", () => {
  for (const group of groups) endGroup(group);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

function endGroup(group: number): void {
  groups.delete(group);
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // All of it has gone already.
  }
}

function start(root: string, temporary: string, { command, env }: Layer): ChildProcess {
  return spawn(process.execPath, ["--conditions=@factlog/source", ...command], {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env, TMPDIR: temporary },
  });
}

/** Runs a layer on a tree until its first complaint or its end. `temporary`: where it may leave what it likes. */
export function runLayer(root: string, temporary: string, layer: Layer): Promise<Verdict> {
  const startedMs = performance.now();
  const child = start(root, temporary, layer);
  const group = child.pid ?? 0;
  groups.add(group);
  const last: string[] = [];
  let complaint: string | undefined;
  let late = false;
  const hear = (line: string): void => {
    last.push(line);
    if (last.length > 5) last.shift();
    if (complaint !== undefined) return;
    complaint = layer.complaint(line);
    if (complaint !== undefined) endGroup(group);
  };
  if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", hear);
  if (child.stderr !== null) createInterface({ input: child.stderr }).on("line", hear);
  const bound = setTimeout(() => {
    late = true;
    endGroup(group);
  }, layerMaxMs);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(bound);
      endGroup(group);
      const how = late ? `no end within ${layerMaxMs / 1_000} s` : `ended with ${code ?? signal}`;
      resolve({
        complaint,
        green: code === 0 && complaint === undefined,
        ending: `${how}: ${last.join(" | ").slice(0, 500)}`,
        seconds: Math.round((performance.now() - startedMs) / 100) / 10,
      });
    });
  });
}
