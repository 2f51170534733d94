import type { Command } from "commander";
import { FactlogError } from "../../errors.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { plural } from "../format.ts";
import { withLog } from "../open.ts";

export function addDelayed(program: Command, finish: Finish): void {
  const group = program
    .command("delayed")
    .description("look at events that wait for their time, withdraw them")
    .helpCommand(false);
  const list = group
    .command("list")
    .description("list delayed events by their time")
    .option("--correlation <id>", "only of this correlation");
  act<{ readonly correlation?: string }>(withCommonOptions(list), finish, listDelayed);
  const cancel = group
    .command("cancel")
    .description("withdraw a delayed event: it is never stated")
    .argument("<id>", "as `delayed list` shows it")
    .option("--source <source>", "its source, as `delayed list` shows it (default: the only one with this id)");
  act<{ readonly source?: string }>(withCommonOptions(cancel), finish, cancelDelayed);
}

async function listDelayed(call: Call<{ readonly correlation?: string }>): Promise<void> {
  const { out, options } = call;
  const filter = options.correlation === undefined ? {} : { correlationId: options.correlation };
  await withLog(call, "refuse", async ({ log, name }) => {
    const rows: string[][] = [];
    for await (const each of log.operator.delayed(filter)) {
      out.object(each);
      await out.ready();
      if (!out.json) rows.push([each.due.toISOString(), each.type, each.id, each.key ?? "-", each.source]);
    }
    if (rows.length === 0) return out.say(`nothing is delayed  (${name})`);
    out.table(["due", "type", "event", "key", "source"], rows);
    out.say(`${plural(rows.length, "delayed event")}: factlog delayed cancel EVENT  (${name})`);
  });
}

async function cancelDelayed(call: Call<{ readonly source?: string }>, id = ""): Promise<void> {
  const { out, options } = call;
  await withLog(call, "refuse", async ({ log }) => {
    const sources: string[] = [];
    for await (const each of log.operator.delayed()) if (each.id === id) sources.push(each.source);
    const source = options.source ?? (sources.length === 1 ? sources[0] : undefined);
    if (source === undefined && sources.length > 1) {
      throw new FactlogError("CONFLICT", `${id} waits from several sources: say --source ${sources.join(" or ")}.`);
    }
    if (source === undefined || !(await log.cancel(id, { source }))) {
      throw new FactlogError("NOT_FOUND", `no delayed event ${id} waits: it was stated, withdrawn, or never there.`);
    }
    out.object({ id, source, cancelled: true });
    out.say(`${id} is withdrawn`);
  });
}
