import type { EventDefinition } from "../event/define.ts";
import { FactlogError, type NewEvent, newEventFromJson, type Receipt } from "../index.ts";
import { allows } from "./access.ts";
import { isJsonType, mediaTypeOf, shown, textOf, unsupported } from "./body.ts";
import { type Call, json, type Route } from "./call.ts";
import { binaryDraft, checkDataSchema, isBinary, structuredDraft } from "./cloudevents.ts";
import type { Draft } from "./draft.ts";
import { atIndex, eachOf, invalid, plainDraft, requireJson } from "./plain.ts";

export const publishRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/events",
    operationId: "publish",
    summary:
      "Publishes an event, or several (all or none, in order). Durable when it answers; the same id again is one fact.",
    scope: "publish:TYPE",
    parameters: [],
    body: "NewEvent",
    answer: "AcceptedAll",
    handle: publish,
  },
];

async function publish(call: Call): Promise<Response> {
  const sent = await draftsOf(call);
  if (!Array.isArray(sent)) {
    const receipt = await call.log.publish(eventOf(call, sent as Draft));
    return json(answerOf(call, receipt), 202);
  }
  const events = (sent as readonly Draft[]).map((draft, index) => atIndex(index, () => eventOf(call, draft)));
  const receipts = await call.log.publishAll(events);
  return json(
    receipts.map((receipt) => answerOf(call, receipt)),
    202,
  );
}

async function draftsOf({ request, incoming }: Call): Promise<Draft | readonly Draft[]> {
  const type = mediaTypeOf(request.headers.get("content-type"));
  const batch = type === "application/cloudevents-batch+json";
  const structured = type === "application/cloudevents+json";
  const binary = !batch && !structured && isBinary(request.headers);
  if (!(batch || structured || binary || type === "application/json")) {
    throw unsupported(
      type === "" ? "a body without content-type" : shown(type),
      "application/json, or a CloudEvent (application/cloudevents+json, application/cloudevents-batch+json, or ce- headers)",
    );
  }
  if (binary && type !== "" && !isJsonType(type)) throw unsupported(`data of ${shown(type)}`, "JSON");
  const text = await textOf(request, incoming);
  if (binary) return binaryDraft(request.headers, text);
  requireJson(text);
  const read = batch || structured ? structuredDraft : plainDraft;
  const many = structured ? undefined : eachOf(text, read);
  if (many !== undefined) return many;
  if (batch) throw new FactlogError("INVALID_DATA", "a batch is a JSON array of CloudEvents. Nothing was stored.");
  return read(text, { start: 0, end: text.length });
}

/** The event as the app defines it, within what the caller may publish. */
function eventOf(call: Call, draft: Draft): NewEvent {
  const { access } = call;
  const definition = definitionOf(call, draft.type);
  checkDataSchema(draft.claims.schema, definition.type, definition.version);
  const event = newEventFromJson(definition.eventType, draft.data, withCorrelation(call, draft));
  const group = derived(definition.group, event.data);
  requireSame("id", draft.attributes.id, derived(definition.id, event.data), true);
  requireSame("partitionkey", draft.claims.key, derived(definition.key, event.data));
  requireSame("factloggroup", draft.claims.group, group);
  if (access.group !== undefined && group !== access.group)
    throw new FactlogError("FORBIDDEN", "this caller publishes events of its own group only. Nothing was stored.");
  return event;
}

/** A type that the caller may not publish is not there for it. */
function definitionOf({ spec, access }: Call, type: string): EventDefinition {
  const definition = spec.events.get(type);
  if (definition !== undefined && allows(access, `publish:${type}`)) return definition;
  throw new FactlogError("UNKNOWN_EVENT_TYPE", `there is no event ${shown(type)} to publish. Nothing was stored.`, {
    details: { type: type.slice(0, 200) },
  });
}

function withCorrelation({ access }: Call, { attributes }: Draft): Draft["attributes"] {
  const { correlationId } = access;
  if (correlationId === undefined) return attributes;
  if (attributes.correlationId !== undefined && attributes.correlationId !== correlationId)
    throw new FactlogError("FORBIDDEN", "this caller publishes within its own correlation only. Nothing was stored.");
  return { ...attributes, correlationId };
}

/** Undefined where the function throws, as on data that do not fit: publishing then says what is wrong with them. */
function derived(derive: ((data: unknown) => string) | undefined, data: unknown): string | undefined {
  try {
    return derive?.(data);
  } catch {
    return undefined;
  }
}

/**
 * What an event type takes from the data may be repeated by the caller, not replaced: it is what makes a retry one fact. An
 * id may be given where the type takes none.
 */
function requireSame(name: string, said: string | undefined, taken: string | undefined, mayAdd = false): void {
  if (said === undefined || said === taken || (mayAdd && taken === undefined)) return;
  const what = taken === undefined ? "which is nothing" : shown(taken);
  throw invalid(
    name,
    `${shown(said)} is not what the event type takes from these data, ${what}: leave it out, or send the same.`,
  );
}

/** What publishing answers: 202, the event is durable. */
export interface Accepted extends Receipt {
  /** Paths: resolve them against the URL that was called. */
  readonly statusUrl: string;
  readonly streamUrl: string;
}

/** A correlation that begins with this event need not be looked for before it. */
function answerOf({ links }: Call, receipt: Receipt): Accepted {
  const { id, correlationId, position } = receipt;
  const since = id === correlationId && position !== undefined ? `?since=${encodeURIComponent(position)}` : "";
  const statusUrl = `${links}/correlations/${encodeURIComponent(correlationId)}`;
  return { ...receipt, statusUrl: `${statusUrl}${since}`, streamUrl: `${statusUrl}/stream${since}` };
}
