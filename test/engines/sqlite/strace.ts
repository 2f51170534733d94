import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** A system call of the traced process's main thread, as it ended. */
export interface SystemCall {
  readonly name: string;
  /** What its first argument, a descriptor, stands for: a path, or "pipe:[123]". */
  readonly target: string;
  readonly text: string;
  readonly result: number;
}

export interface Trace {
  readonly calls: readonly SystemCall[];
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/**
 * Runs a program of this package's under strace(1). All that the store does with its file it does on the main thread, so
 * the calls of that thread, in order, are the truth.
 */
export function straced(
  argv: readonly string[],
  options: {
    readonly output: string;
    readonly calls: string;
    readonly inject?: string;
    readonly env?: NodeJS.ProcessEnv;
  },
): Trace {
  const inject = options.inject === undefined ? [] : ["-e", `inject=${options.inject}`];
  const flags = ["-f", "-y", "-s", "64", "-o", options.output, "-e", `trace=${options.calls}`, ...inject];
  const run = spawnSync("strace", [...flags, process.execPath, ...argv], {
    encoding: "utf8",
    env: { ...process.env, ...options.env },
  });
  if (run.error !== undefined) {
    throw new Error("strace is not here: install it (apt-get install strace, dnf install strace), then test again", {
      cause: run.error,
    });
  }
  const { stdout, stderr, status } = run;
  return { calls: mainThread(readFileSync(options.output, "utf8")), stdout, stderr, status };
}

/** Lines of the first process named; a call that others interrupted is put together again where it ended. */
function mainThread(text: string): SystemCall[] {
  const lines = text.split("\n").filter((line) => line !== "");
  const main = lines[0]!.split(/\s/, 1)[0]!;
  const calls: SystemCall[] = [];
  let begun = "";
  for (const line of lines) {
    if (!line.startsWith(`${main} `)) continue;
    const body = line.slice(main.length).trim();
    const unfinished = body.match(/^(.*)<unfinished \.\.\.>$/);
    if (unfinished !== null) begun = unfinished[1]!;
    else calls.push(...parse(body.replace(/^<\.\.\. \w+ resumed>/, () => begun)));
  }
  return calls;
}

function parse(text: string): SystemCall[] {
  const match = text.match(/^(\w+)\(\d+<(.*?)>.*\)\s+= (-?\d+)/);
  return match === null ? [] : [{ name: match[1]!, target: match[2]!, text, result: Number(match[3]) }];
}
