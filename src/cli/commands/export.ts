import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import type { Command } from "commander";
import { toCloudEventJson } from "../../event/cloudevents.ts";
import { FactlogError } from "../../errors.ts";
import { act, type Call, type Finish, listOption, withCommonOptions } from "../command.ts";
import { plural } from "../format.ts";
import { fromHelp, fromOf } from "../from.ts";
import { withLog } from "../open.ts";
import { headOf, readOptions, upTo, wants } from "../recent.ts";

interface ExportOptions {
  readonly type?: readonly string[];
  readonly key?: string;
  readonly from?: string;
}

export function addExport(program: Command, finish: Finish): void {
  const command = program
    .command("export")
    .description(
      "write the events that are there now to a file, as CloudEvents, one a line; `factlog import` reads them",
    )
    .argument("<file>", "must not be there yet; - is stdout")
    .addOption(listOption("--type <types>", "only these types, separated by commas"))
    .option("--key <key>", "only this key")
    .option("--from <place>", `${fromHelp} (default: beginning)`);
  act<ExportOptions>(withCommonOptions(command), finish, exportTo);
}

async function exportTo(call: Call<ExportOptions>, file = ""): Promise<void> {
  const { out, options } = call;
  const wanted = { types: options.type ?? [], key: options.key, correlationId: undefined };
  await withLog(call, "refuse", async (opened) => {
    const head = await headOf(opened);
    const from = fromOf(options.from ?? "beginning", opened);
    using target = file === "-" ? toStdout() : toFile(file);
    let events = 0;
    for await (const event of opened.log.read({ ...readOptions(wanted), from, ...upTo(opened, head) })) {
      if (!wants(wanted, event)) continue;
      target.write(`${toCloudEventJson(event)}\n`);
      events++;
      if (file === "-") await out.ready();
    }
    target.finish();
    if (file === "-") return out.remark(`${plural(events, "event")} of ${opened.name}`);
    out.object({ log: opened.name, file, events });
    out.say(`${opened.name} -> ${file}  ${plural(events, "event")}`, "good");
  });
}

interface Target extends Disposable {
  readonly write: (text: string) => void;
  readonly finish: () => void;
}

const toStdout = (): Target => ({
  write: (text) => void process.stdout.write(text),
  finish: () => {},
  [Symbol.dispose]: () => {},
});

/** A file of this name is a whole export. */
function toFile(path: string): Target {
  if (existsSync(path)) {
    throw new FactlogError("CONFLICT", `${path} is there already: name another file.`, { details: { file: path } });
  }
  const part = `${path}.part`;
  const file = openSync(part, "w");
  let open = true;
  return {
    write: (text) => appendFileSync(file, text),
    finish: () => {
      fsyncSync(file);
      closeSync(file);
      open = false;
      renameSync(part, path);
    },
    [Symbol.dispose]: () => {
      if (open) closeSync(file);
      rmSync(part, { force: true });
    },
  };
}
