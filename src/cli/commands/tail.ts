import type { Command } from "commander";
import type { From } from "../../app/subscription.ts";
import { toCloudEventJson } from "../../event/cloudevents.ts";
import type { RecordedEvent } from "../../event/define.ts";
import { act, type Call, type Finish, listOption, numberOption, withCommonOptions } from "../command.ts";
import { placeOf } from "../format.ts";
import { fromHelp, fromOf } from "../from.ts";
import { type OpenedLog, withLog } from "../open.ts";
import type { Output } from "../output.ts";
import { type Head, headOf, newest, readOptions, upTo, type Wanted, wants } from "../recent.ts";
import { untilStopped } from "../signals.ts";

interface TailOptions {
  readonly type?: readonly string[];
  readonly key?: string;
  readonly correlation?: string;
  readonly from?: string;
  readonly lines?: number;
  readonly follow?: boolean;
}
const linesDefault = 20;

export function addTail(program: Command, finish: Finish): void {
  const command = program
    .command("tail")
    .description("show events: the newest 20, or all from a place on; --json gives CloudEvents, one a line")
    .addOption(listOption("--type <types>", "only these types, separated by commas"))
    .option("--key <key>", "only this key")
    .option(
      "--correlation <id>",
      "only this correlation; with --follow all of it, and it ends when nothing of it is pending",
    )
    .option("--from <place>", fromHelp)
    .addOption(numberOption("-n, --lines <number>", "how many of the newest, without --from (default: 20)"))
    .option("-f, --follow", "go on with what comes, until Ctrl-C");
  act<TailOptions>(withCommonOptions(command), finish, tail);
}

async function tail(call: Call<TailOptions>): Promise<void> {
  const { options, out } = call;
  const wanted = { types: options.type ?? [], key: options.key, correlationId: options.correlation };
  await withLog(call, "refuse", async (opened) => {
    const head = await headOf(opened);
    if (!out.json) out.remark(`${opened.name}, ${head.place === 0 ? "empty" : `head at ${head.place}`}`);
    // What is pending of a correlation follows from all that it holds, so it is followed from its first event.
    if (options.follow === true && options.correlation !== undefined) return follow(opened, wanted, out, "beginning");
    for await (const event of past(opened, wanted, options, head)) {
      show(out, event);
      await out.ready();
    }
    if (options.follow === true) await follow(opened, wanted, out, head.position);
  });
}

/** What is there when the command begins. */
async function* past(
  opened: OpenedLog,
  wanted: Wanted,
  options: TailOptions,
  head: Head,
): AsyncGenerator<RecordedEvent> {
  if (options.from === undefined) return yield* await newest(opened, wanted, options.lines ?? linesDefault, head);
  const from = fromOf(options.from, opened);
  for await (const event of opened.log.read({ ...readOptions(wanted), from, ...upTo(opened, head) })) {
    if (wants(wanted, event)) yield event;
  }
}

async function follow({ log }: OpenedLog, wanted: Wanted, out: Output, from: From): Promise<void> {
  await untilStopped(async (signal) => {
    for await (const frame of log.follow({ ...readOptions(wanted), from, signal })) {
      if (frame.kind === "event" && wants(wanted, frame.event)) show(out, frame.event);
      if (frame.kind === "delta") out.remark(`${frame.subscription}: ${frame.text}`);
      if (frame.kind === "delivery") {
        out.remark(`${frame.subscription}: ${frame.eventId} ${frame.status}: ${frame.reason}`);
      }
      if (frame.kind === "end") out.remark(`nothing of this correlation is pending: ${frame.status}`);
      await out.ready();
    }
  });
}

function show(out: Output, event: RecordedEvent): void {
  if (out.json) return out.object(toCloudEventJson(event));
  const { position, recordedTime, type, id, key } = event;
  const ordered = key === undefined || key === id ? "" : `  key=${key}`;
  out.say(
    `${placeOf(position)}  ${recordedTime.toISOString()}  ${type}  ${id}${ordered}  ${Buffer.from(event.raw()).toString()}`,
  );
}
