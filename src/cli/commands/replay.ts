import type { Command } from "commander";
import { pause, realEnv } from "../../env.ts";
import { FactlogError } from "../../errors.ts";
import type { ProjectionStatus } from "../../runtime/rebuild.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { count } from "../format.ts";
import { type OpenedLog, withLog } from "../open.ts";

interface ReplayOptions {
  readonly wait: boolean;
}
const lookEveryMs = 1_000;

export function addReplay(program: Command, finish: Finish): void {
  const command = program
    .command("replay")
    .description("rebuild a projection from the beginning of the log, beside its live tables; its workers do it")
    .argument("<projection>", "as the app names it")
    .option("--no-wait", "ask for it, and do not watch it");
  act<ReplayOptions>(withCommonOptions(command), finish, replay);
}

async function replay(call: Call<ReplayOptions>, name = ""): Promise<void> {
  const { out, options } = call;
  await withLog(call, "refuse", async (opened) => {
    const generation = await begin(opened, name);
    if (!options.wait) {
      out.object({ projection: name, generation, state: "wanted" });
      return out.say(`${name}: generation ${generation} is asked for; its workers fill it, and the views then show it`);
    }
    await watch(call, opened, name, generation);
  });
}

/** Asks for it, or joins one that is under way: whoever asked for that may have been killed. */
async function begin({ log }: OpenedLog, name: string): Promise<number> {
  const known = (await log.operator.projections()).filter((one) => one.name === name);
  const filling = known.find((one) => one.state === "filling");
  return filling?.generation ?? log.operator.rebuild(name);
}

async function watch({ out }: Call, { log }: OpenedLog, name: string, generation: number): Promise<void> {
  const startedMs = realEnv.monotonic();
  let first: ProjectionStatus | undefined;
  for (;;) {
    const known = (await log.operator.projections()).filter((one) => one.name === name);
    const mine = known.find((one) => one.generation === generation);
    if (mine?.state === "live") {
      out.object({ projection: name, generation, state: "live", applied: mine.applied });
      return out.say(`${name}: the views show generation ${generation}, of ${count(mine.applied)} events`, "good");
    }
    if (mine === undefined && known.every((one) => one.generation > generation))
      throw new FactlogError(
        "CONFLICT",
        `generation ${generation} of ${name} has given way to another: see \`factlog status\`.`,
      );
    first ??= mine;
    tell(out, name, generation, mine, leftMs(first, mine, realEnv.monotonic() - startedMs));
    await pause(realEnv, lookEveryMs);
  }
}

function tell(
  out: Call["out"],
  name: string,
  generation: number,
  status: ProjectionStatus | undefined,
  left: number | undefined,
): void {
  if (status === undefined) {
    out.object({ projection: name, generation, state: "wanted" });
    return out.say(`${name}: waiting for a worker of it to begin generation ${generation}`, "faint");
  }
  const { applied, events } = status;
  out.object({ projection: name, generation, state: "filling", applied, events, leftMs: left });
  const estimate = left === undefined ? "" : `, some ${Math.ceil(left / 1000)} s left`;
  out.say(`${name}: generation ${generation}  ${count(applied)} of ${count(events)} events${estimate}`);
}

/** At the speed that was seen since this began to watch. */
function leftMs(
  first: ProjectionStatus | undefined,
  now: ProjectionStatus | undefined,
  passedMs: number,
): number | undefined {
  if (first === undefined || now === undefined || now.applied <= first.applied) return undefined;
  return Math.round(((now.events - now.applied) / (now.applied - first.applied)) * passedMs);
}
