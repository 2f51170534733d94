/**
 * Power-loss replay: the system calls of a real process are recorded, and the disk is rebuilt as it may be when the
 * power goes at a random moment. `npm run powerloss -- --images 300 [--facts N] [--seed S] [--json]`
 */
import { Random } from "../../sim/random.ts";
import { Child } from "../child.ts";
import { conclude, optionsOf } from "../options.ts";
import { inDirectory } from "../scratch.ts";
import { Disk } from "./disk.ts";
import { inspectImage, type Verdict } from "./inspection.ts";
import { type Call, callsOf, tracer } from "./trace.ts";

/** A recording serves for so many images, then another is made. */
const options = optionsOf({ images: 300, facts: 1_500, perRecording: 1_000 });
/** Every so many images the subscriptions finish their work on it. */
const workEvery = 10;
const toldMax = 10;

const startedMs = performance.now();
const random = new Random(options.seed);
const totals = { images: 0, calls: 0, syncs: 0, events: 0, lost: 0, wrong: 0, worked: 0 };

for (let left = options.images; left > 0; left -= options.perRecording) {
  await inDirectory(async (path) => {
    const calls = await record(path("log.db"), path("trace"));
    await replay(calls, Math.min(left, options.perRecording), path);
  });
}

async function record(file: string, trace: string): Promise<readonly Call[]> {
  const args = [file, `${options.facts}`];
  const child = new Child("steady-process.ts", args, () => {}, { under: tracer(trace) });
  const { code } = await child.ended;
  if (code !== 0) throw new Error(`the recorded process ended with ${code}: ${child.errors.slice(-5).join(" | ")}`);
  return callsOf(trace, file);
}

/** Goes through the recording once; on the way the images of all moments are made, in order. */
async function replay(calls: readonly Call[], images: number, path: (name: string) => string): Promise<void> {
  const moments = Array.from({ length: images }, () => random.int(1, calls.length)).toSorted((a, b) => a - b);
  const disk = new Disk();
  const acked = new Set<string>();
  totals.calls += calls.length;
  for (const [index, call] of calls.entries()) {
    if (call.do === "say") for (const id of acksIn(call.text)) acked.add(id);
    else disk.apply(call);
    if (call.do === "sync") totals.syncs++;
    while (moments[0] === index + 1) {
      moments.shift();
      const work = totals.images++ % workEvery === 0;
      if (work) totals.worked++;
      tell(index, await inspectImage(path("image"), disk.image(random), acked, work));
    }
  }
  if (acked.size < options.facts) throw new Error(`${acked.size} of ${options.facts} facts were acknowledged`);
}

function acksIn(text: string): readonly string[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { readonly ack: string }).ack);
}

function tell(moment: number, { lost, wrong, events }: Verdict): void {
  totals.events += events;
  if (lost.length > 0) totals.lost++;
  if (wrong.length > 0) totals.wrong++;
  const where = `seed=${options.seed}, after call ${moment}`;
  if (lost.length > 0 && totals.lost <= toldMax) console.log(`${where}: lost ${lost.slice(0, 5).join()}`);
  if (totals.wrong <= toldMax) for (const what of wrong.slice(0, 3)) console.log(`${where}: ${what}`);
}

const isVoid = totals.images === 0 || totals.events < totals.images;
if (isVoid) console.log(`void: ${totals.events} events seen in ${totals.images} images`);
conclude(
  {
    ok: totals.lost + totals.wrong === 0 && !isVoid,
    ...totals,
    seconds: Math.round((performance.now() - startedMs) / 100) / 10,
  },
  options.json,
);
