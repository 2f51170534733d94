import { readFileSync } from "node:fs";
import { openLog } from "../../src/index.ts";
import { app, keys, makeEffectTable, publisher } from "../app.ts";
import { Child } from "../child.ts";
import { factOf } from "../facts.ts";
import { complaints, factsOf, rowsAreRight } from "../judge.ts";
import { errorsOnly } from "../say.ts";
import { inDirectory } from "../scratch.ts";
import type { Fault } from "./fault.ts";

const facts = 60;
const kinds = ["fsync", "pwrite64", "ftruncate"] as const;
type Kind = (typeof kinds)[number];
const endsWithinMs = 20_000;
/** A store that failed says so, or that nobody knows whether the last transaction is stored. */
const clear = new Set(["STORE_FAILED", "OUTCOME_UNKNOWN"]);

interface Case {
  readonly wrong: readonly string[];
  readonly stopped: boolean;
  readonly unknown: number;
}

/** The n-th system call of a process answers EIO: it stops with one clear line, and a new one goes on where it was. */
export const io: Fault = {
  name: "io",
  ci: 24,
  release: 200,
  async run(times, random) {
    const counts = await countCalls();
    const cases: Case[] = [];
    const one = async (): Promise<void> => {
      while (cases.length < times) {
        const call = random.weighted({ fsync: 5, pwrite64: 4, ftruncate: 1 });
        cases.push(await failAt(call, random.int(1, Math.max(1, counts[call]))));
      }
    };
    await Promise.all([one(), one()]);
    const stopped = cases.filter((each) => each.stopped).length;
    const wrong = cases.flatMap((each) => each.wrong);
    if (stopped * 4 < cases.length) wrong.push(`void: only ${stopped} of ${cases.length} processes met their error`);
    const resolved = cases.reduce((sum, each) => sum + each.unknown, 0);
    return { figures: { cases: cases.length, stopped, storedUnacked: resolved }, wrong };
  },
};

/** How many of these calls a run makes when nothing fails. */
function countCalls(): Promise<Readonly<Record<Kind, number>>> {
  return inDirectory(async (path) => {
    await prepare(path("log.db"));
    const child = new Child("steady-process.ts", [path("log.db"), `${facts}`], () => {}, {
      under: ["strace", "-f", "--seccomp-bpf", "-qq", "-o", path("trace"), "-e", `trace=${kinds.join()}`],
    });
    await child.ended;
    const trace = readFileSync(path("trace"), "utf8");
    const count = (call: Kind): number => trace.split(` ${call}(`).length - 1;
    return { fsync: count("fsync"), pwrite64: count("pwrite64"), ftruncate: count("ftruncate") };
  });
}

async function prepare(file: string): Promise<void> {
  await (await openLog(`sqlite:${file}`)).close();
  makeEffectTable(file);
}

function failAt(call: Kind, nth: number): Promise<Case> {
  return inDirectory(async (path) => {
    const file = path("log.db");
    await prepare(file);
    const acked = new Set<string>();
    const under = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", path("trace"), "-e", `trace=${call}`];
    under.push("-e", `inject=${call}:error=EIO:when=${nth}`, "-e", "signal=none");
    const hear = (said: unknown): void => void acked.add((said as { readonly ack: string }).ack);
    const child = new Child("steady-process.ts", [file, `${facts}`], hear, { under });
    const code = await endOf(child);
    const wrong = code === 0 ? [] : clarity(code, child.errors);
    const after = await recover(file, acked);
    return {
      wrong: [...wrong, ...after.wrong].map((what) => `${call} ${nth}: ${what}`),
      stopped: code === 1,
      unknown: after.unknown,
    };
  });
}

async function endOf(child: Child): Promise<number | null | "late"> {
  const late = new AbortController();
  const bound = new Promise<"late">((resolve) => {
    const timer = setTimeout(() => resolve("late"), endsWithinMs);
    late.signal.addEventListener("abort", () => clearTimeout(timer));
  });
  const end = await Promise.race([child.ended.then(({ code }) => code), bound]);
  late.abort();
  if (end === "late") child.kill();
  await child.ended;
  return end;
}

function clarity(code: number | null | "late", errors: readonly string[]): readonly string[] {
  if (code !== 1)
    return [`the process ended ${code === "late" ? "not in time" : `with ${code}`}: ${errors.join(" | ")}`];
  const last = JSON.parse(errors.at(-1) ?? "{}") as { readonly code?: string };
  if (errors.length === 1 && clear.has(last.code ?? "")) return [];
  return [`it said ${errors.length} lines: ${errors.slice(0, 3).join(" | ")}`];
}

/** A new process, without errors: states again what was not acknowledged, under the same ids, and finishes the work. */
async function recover(
  file: string,
  acked: ReadonlySet<string>,
): Promise<{ readonly wrong: readonly string[]; readonly unknown: number }> {
  await using log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
  const before = await factsOf(log);
  const lost = [...acked].filter((id) => !before.ids.has(id)).map((id) => `${id} was acknowledged and is lost`);
  for (let n = 0; n < facts; n++) {
    const fact = factOf(publisher, n, keys);
    const id = fact.attributes.id ?? "";
    const { duplicate } = await log.publish(fact);
    if (duplicate !== before.ids.has(id)) lost.push(`${id} is ${duplicate ? "" : "not "}told to be there already`);
  }
  await log.drain(app, { timeout: "30s" });
  const after = await factsOf(log);
  const wrong = [...lost, ...before.wrong, ...after.wrong, ...(await complaints(log))];
  if (after.ids.size !== facts) wrong.push(`${after.ids.size} of ${facts} facts are there`);
  return { wrong: [...wrong, ...rowsAreRight(file, after.ids, true)], unknown: before.ids.size - acked.size };
}
