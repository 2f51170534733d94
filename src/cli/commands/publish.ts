import { stdin } from "node:process";
import type { Command } from "commander";
import { FactlogError } from "../../errors.ts";
import {
  definitionOfEvent,
  type EventAttributes,
  type EventDefinition,
  type NewEvent,
  newEventFromJson,
} from "../../event/define.ts";
import type { Receipt } from "../../app/context.ts";
import type { Duration } from "../../duration.ts";
import type { Log, PublishOptions as PublishWhen } from "../../runtime/log.ts";
import { type AppFile, loadApp, requireAppFile } from "../app-file.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { duration, nearest, placeOf, plural } from "../format.ts";
import { documents, storeBatch } from "../json-lines.ts";
import { withLog } from "../open.ts";
import type { Output } from "../output.ts";

interface PublishOptions {
  readonly app?: string;
  readonly id?: string;
  readonly source?: string;
  readonly subject?: string;
  readonly correlation?: string;
  readonly causation?: string;
  readonly time?: string;
  readonly after?: Duration;
  readonly at?: string;
}

export function addPublish(program: Command, finish: Finish): void {
  const command = program
    .command("publish")
    .description("publish an event; its data are checked by the app's schema and stored byte for byte")
    .argument("<type>", "event type, as in OrderPlaced")
    .argument(
      "<json>",
      "its data; - reads them from stdin: one document, or one a line (published in batches of 1,000, each all or nothing)",
    )
    .option("--app <file>", "the app that defines the event (default: app.ts here)")
    .option("--id <id>", "identity, where the event type does not take it from the data")
    .option("--source <source>", "part of the identity (default: the app's name)")
    .option("--subject <subject>", "CloudEvents subject")
    .option("--correlation <id>", "correlation id (default: the event's id)")
    .option("--causation <id>", "id of the event that led to this one")
    .option("--time <time>", "when it happened, as in 2026-11-23T06:15:00Z (default: now)")
    .option("--after <duration>", "state it later, as in 24h; `factlog delayed` shows and withdraws it")
    .option("--at <time>", "state it at this time, as in 2026-11-23T06:15:00Z");
  act<PublishOptions>(withCommonOptions(command), finish, publish);
}

async function publish(call: Call<PublishOptions>, type = "", json = ""): Promise<void> {
  if (json === "-" && (call.options.after !== undefined || call.options.at !== undefined)) {
    throw new FactlogError("INVALID_OPTION", "--after and --at are for one event, not for stdin. Nothing was stored.");
  }
  const app = await loadApp(requireAppFile(call.options.app, "publish checks the data by the app's schema"));
  const definition = definitionIn(app, type);
  const attributes = attributesOf(call.options);
  await withLog(
    call,
    "create",
    async ({ log, name }) => {
      const when = whenOf(call.options);
      if (json === "-") return publishStream({ log, name, out: call.out, definition, attributes });
      await publishOne({ log, name, out: call.out }, eventFrom(definition, json, attributes), when);
    },
    { source: app.spec.name },
  );
}

function definitionIn({ spec, name }: AppFile, type: string): EventDefinition {
  const definition = spec.events.get(type);
  if (definition !== undefined) return definition;
  const known = [...spec.events.keys()];
  const close = nearest(type, known);
  const hint = close === undefined ? "" : ` Did you mean ${close}?`;
  throw new FactlogError(
    "UNKNOWN_EVENT_TYPE",
    `${name} has no event ${type}: it has ${known.join(", ") || "none"}.${hint} Nothing was stored.`,
    { details: { type, known } },
  );
}

/** An id that the event type takes from the data is what makes a retry one fact: `--id` may repeat it, not replace it. */
function eventFrom(definition: EventDefinition, json: string, attributes: EventAttributes): NewEvent {
  const event = newEventFromJson(definition.eventType, json, attributes);
  const { id } = attributes;
  if (id === undefined || definition.id === undefined) return event;
  const derived = derivedId(definition, event.data);
  if (derived === undefined || derived === id) return event;
  throw new FactlogError(
    "INVALID_OPTION",
    `--id ${JSON.stringify(id)} is not the id that ${definition.type} takes from these data, ${JSON.stringify(derived)}: ` +
      "leave --id out. Nothing was stored.",
    { details: { id, derived } },
  );
}

/** Undefined where the function throws, as on data that do not fit: publishing then says what is wrong with them. */
function derivedId(definition: EventDefinition, data: unknown): string | undefined {
  try {
    return definition.id?.(data);
  } catch {
    return undefined;
  }
}

function attributesOf(options: PublishOptions): EventAttributes {
  const { id, source, subject, correlation: correlationId, causation: causationId, time } = options;
  const given = {
    id,
    source,
    subject,
    correlationId,
    causationId,
    time: time === undefined ? undefined : timeOf("--time", time),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as EventAttributes;
}

const whenOf = ({ after, at }: PublishOptions): PublishWhen => ({
  ...(after === undefined ? {} : { after }),
  ...(at === undefined ? {} : { at: timeOf("--at", at) }),
});

function timeOf(option: string, text: string): Date {
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new FactlogError(
    "INVALID_OPTION",
    `${option} ${JSON.stringify(text)} is no time: give it as in 2026-11-23T06:15:00Z. Nothing was stored.`,
  );
}

async function publishOne({ log, name, out }: Place, event: NewEvent, when: PublishWhen): Promise<void> {
  // What a process pays once is no part of what a publish takes.
  void definitionOfEvent(event).fingerprint;
  const startedMs = performance.now();
  const receipt = await log.publish(event, when);
  const tookMs = performance.now() - startedMs;
  out.object({ log: name, ...receipt, durationMs: tookMs });
  out.say(`${sentence(receipt, tookMs)}  (${name})`);
}

function sentence({ id, duplicate, position }: Receipt, tookMs: number): string {
  if (position === undefined) {
    return duplicate ? `${id} waits or stands already (duplicate)` : `${id} waits for its time: factlog delayed list`;
  }
  const place = placeOf(position);
  return duplicate
    ? `${id} was already stored at ${place} (duplicate)`
    : `${id} stored at ${place} in ${duration(tookMs)}`;
}

const batchMax = 1_000;

interface Place {
  readonly log: Log;
  readonly name: string;
  readonly out: Output;
}
interface Stream extends Place {
  readonly definition: EventDefinition;
  readonly attributes: EventAttributes;
}

async function publishStream(stream: Stream): Promise<void> {
  const { log, name, out, definition, attributes } = stream;
  const startedMs = performance.now();
  let [stored, duplicates] = [0, 0];
  for await (const batch of documents(stdin, batchMax)) {
    requireOneIdentity(attributes, stored + duplicates + batch.length);
    const receipts = await storeBatch(
      batch,
      stored + duplicates,
      ({ text }) => eventFrom(definition, text, attributes),
      (events) => log.publishAll(events),
    );
    for (const receipt of receipts) {
      if (receipt.duplicate) duplicates++;
      else stored++;
      out.object({ log: name, ...receipt });
    }
    await out.ready();
  }
  const took = duration(performance.now() - startedMs);
  out.say(
    `${plural(stored, "event")} stored in ${took}${duplicates === 0 ? "" : `, ${duplicates} were there already`}  (${name})`,
  );
}

function requireOneIdentity(attributes: EventAttributes, events: number): void {
  if (attributes.id === undefined || events <= 1) return;
  throw new FactlogError(
    "INVALID_OPTION",
    "--id names one event, and stdin holds several: let the event type take the id from the data.",
  );
}
