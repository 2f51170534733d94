import { mkdtempSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { defineEvent } from "../../event/define.ts";
import { openLog } from "../../runtime/log.ts";

const samples = 9;
const anything = { "~standard": { version: 1 as const, vendor: "factlog", validate: (value: unknown) => ({ value }) } };
const Probe = defineEvent("Probe", { schema: anything });

/** What a durable publish takes on the disk that holds `file`, milliseconds: the median of a few, in a log thrown away after. */
export async function commitTimeMs(file: string): Promise<number> {
  const folder = mkdtempSync(join(dirname(resolve(file)), ".factlog-probe-"));
  try {
    await using log = await openLog(`sqlite:${join(folder, "probe.db")}`);
    const times: number[] = [];
    for (let i = 0; i < samples; i++) {
      const startedMs = performance.now();
      await log.publish(Probe({}));
      times.push(performance.now() - startedMs);
    }
    return times.toSorted((a, b) => a - b)[Math.floor(samples / 2)] ?? 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
