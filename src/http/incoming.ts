import { definitionOfEvent, jsonTextOf, type NewEvent } from "../event/define.ts";
import { FactlogError, type Awaitable, newEventFromJson } from "../index.ts";
import { standardWebhookId } from "../webhook/verify.ts";
import { unauthenticated } from "./access.ts";
import { textOf } from "./body.ts";
import { type Call, json, type Route } from "./call.ts";
import { pathParameter } from "./parameters.ts";

/** What a sender has posted. */
export interface WebhookMessage {
  readonly headers: Headers;
  /** As it was signed. */
  readonly body: string;
}
/** A sender outside, and what its messages mean here. */
export interface IncomingWebhook {
  /**
   * The message's id where it really is from the sender: the same for each repeat of it. Null refuses it (401). Compare signatures in
   * constant time.
   */
  readonly verify: (message: WebhookMessage) => Awaitable<string | null>;
  /**
   * What has happened; undefined: nothing that matters here. The fact has the source `webhook/NAME` and the message's id, unless it
   * says others: so a repeated message is one fact. Throws where the message means nothing (400, or 5xx for what is a fault here).
   */
  readonly event: (message: WebhookMessage & { readonly id: string }) => NewEvent | readonly NewEvent[] | undefined;
}
export interface StandardWebhookOptions {
  /** "whsec_" and 24 to 64 bytes in base64. Several, while one takes the place of another. */
  readonly secret: string | readonly string[];
  readonly event: (
    payload: unknown,
    message: WebhookMessage & { readonly id: string },
  ) => ReturnType<IncomingWebhook["event"]>;
}

/**
 * A sender that signs by Standard Webhooks (www.standardwebhooks.com): at most five minutes old, its body JSON. Throws
 * INVALID_OPTION where a secret is none.
 */
export function standardWebhook({ secret, event }: StandardWebhookOptions): IncomingWebhook {
  const idOf = standardWebhookId(typeof secret === "string" ? [secret] : secret);
  return {
    verify: ({ headers, body }) => idOf((name) => headers.get(name), body),
    event: (message) => event(payloadOf(message.body), message),
  };
}

function payloadOf(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch (cause) {
    throw new FactlogError("INVALID_DATA", "the message is signed, but no JSON. Nothing was stored.", { cause });
  }
}

export const incomingRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/webhooks/{name}",
    operationId: "receiveWebhook",
    summary:
      "Takes a signed message of a sender that this server knows; durable when it answers, and a repeat is one fact.",
    scope: "signature",
    parameters: [pathParameter("name", "As the server names the sender.")],
    body: "Any",
    answer: "Taken",
    handle: receive,
  },
];

async function receive(call: Call): Promise<Response> {
  const name = call.path("name");
  const webhook = Object.hasOwn(call.webhooks, name) ? call.webhooks[name] : undefined;
  if (webhook === undefined) throw new FactlogError("NOT_FOUND", "there is no such path here.");
  const message = { headers: call.request.headers, body: await textOf(call.request, call.incoming) };
  const id = await webhook.verify(message);
  if (typeof id !== "string" || id === "")
    throw unauthenticated("the message is not signed as it has to be, or too old");
  const given = webhook.event({ ...message, id }) ?? [];
  const events = (Array.isArray(given) ? given : [given]) as readonly NewEvent[];
  const made = events.map((event, n) => named(event, `webhook/${name}`, n === 0 ? id : `${id}.${n}`));
  return json({ id, ...(await publish(call, name, made)) }, 202);
}

/** Its own source and id stand. */
function named(event: NewEvent, source: string, id: string): NewEvent {
  const { eventType, id: natural } = definitionOfEvent(event);
  const attributes = { source, ...(natural === undefined ? { id } : {}), ...event.attributes };
  const text = jsonTextOf(event);
  return text === undefined ? eventType(event.data, attributes) : newEventFromJson(eventType, text, attributes);
}

/** What was taken before under this id stands, whatever it is read as by now: its sender need not come again. */
async function publish(
  { log, logger }: Call,
  name: string,
  events: readonly NewEvent[],
): Promise<{ readonly events: readonly string[]; readonly duplicate: boolean }> {
  try {
    const receipts = await log.publishAll(events);
    return { events: receipts.map(({ id }) => id), duplicate: receipts.some(({ duplicate }) => duplicate) };
  } catch (error) {
    if (!(error instanceof FactlogError && error.code === "ID_CONFLICT")) throw error;
    logger.warn("a repeated webhook is read as another fact by now: the first stands", { webhook: name });
    return { events: [], duplicate: true };
  }
}
