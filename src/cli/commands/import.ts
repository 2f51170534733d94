import { createReadStream, existsSync } from "node:fs";
import { stdin } from "node:process";
import type { Command } from "commander";
import { encodeStated } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { FactlogError } from "../../errors.ts";
import { structuredDraft } from "../../http/cloudevents.ts";
import { requireJson } from "../../http/plain.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { plural } from "../format.ts";
import { documents, type JsonDocument, storeBatch } from "../json-lines.ts";
import { withLog } from "../open.ts";

export function addImport(program: Command, finish: Finish): void {
  const command = program
    .command("import")
    .description("append CloudEvents, one a line, as they are: ids, times, keys and versions are kept; twice is once")
    .argument("<file>", "as `factlog export` writes it; - is stdin");
  act(withCommonOptions(command), finish, importFrom);
}

/** Events of one commit: all or nothing. */
const batchMax = 1_000;

async function importFrom(call: Call, file = ""): Promise<void> {
  const { out } = call;
  if (file !== "-" && !existsSync(file)) throw new FactlogError("NOT_FOUND", `there is no file ${file}.`);
  const input = file === "-" ? stdin : createReadStream(file);
  await withLog(call, "create", async ({ name, store }) => {
    let [stored, duplicates] = [0, 0];
    for await (const batch of documents(input, batchMax)) {
      const appended = await storeBatch(batch, stored + duplicates, eventOf, (events) =>
        store.engine.log.append(events),
      );
      duplicates += appended.filter(({ duplicate }) => duplicate).length;
      stored += appended.filter(({ duplicate }) => !duplicate).length;
    }
    out.object({ log: name, file, stored, duplicates });
    const known = duplicates === 0 ? "" : `, ${duplicates} were there already`;
    out.say(`${file} -> ${name}  ${plural(stored, "event")} stored${known}`, "good");
  });
}

function eventOf({ text }: JsonDocument): EncodedEvent {
  requireJson(text);
  const { type, data, attributes, claims } = structuredDraft(text, { start: 0, end: text.length });
  const { id = "", source = "", time } = attributes;
  if (time === undefined) {
    throw new FactlogError("INVALID_ATTRIBUTE", "time is missing: an event that is imported says when it happened.", {
      details: { attribute: "time" },
    });
  }
  const own = { ...attributes, id, source, time };
  return encodeStated({
    type,
    data,
    key: claims.key,
    group: claims.group,
    version: versionIn(claims.schema),
    attributes: own,
  });
}

/** Version 1 where the event comes from elsewhere. */
function versionIn(dataschema: string | undefined): number {
  const version = /^factlog:[^:]*:(\d{1,15})$/u.exec(dataschema ?? "")?.[1];
  return version === undefined ? 1 : Number(version);
}
