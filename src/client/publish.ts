import { FactlogError } from "../errors.ts";
import type { Accepted } from "../http/publish.ts";
import type { EventAttributes, NewEvent } from "../index.ts";
import { refusalOf } from "./refusal.ts";

/** An event as it is sent: what calling an event type gives, or the same by hand. */
export type SentEvent = NewEvent | ({ readonly type: string; readonly data: unknown } & EventAttributes);

export interface PublishOptions {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Publishes to `.../v1/events`: durable when it resolves, its URLs absolute. Throws what the server refuses, a FactlogError
 * with its code, and OUTCOME_UNKNOWN where no answer came: publish again, with the same id, and it is one fact.
 */
export async function publish(url: string | URL, event: SentEvent, options: PublishOptions = {}): Promise<Accepted> {
  return absolute((await send(url, wireOf(event), options)) as Accepted, url);
}

/** All or none, in order. */
export async function publishAll(
  url: string | URL,
  events: readonly SentEvent[],
  options: PublishOptions = {},
): Promise<readonly Accepted[]> {
  const accepted = (await send(url, events.map(wireOf), options)) as readonly Accepted[];
  return accepted.map((each) => absolute(each, url));
}

function wireOf(event: SentEvent): object {
  if (!("attributes" in event)) return event;
  const { type, data, attributes } = event as NewEvent;
  return { ...attributes, type, data };
}

async function send(url: string | URL, body: object, { signal, headers = {} }: PublishOptions): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.ok) return (await response.json()) as unknown;
  } catch (cause) {
    throw new FactlogError(
      "OUTCOME_UNKNOWN",
      "no answer came: it may be stored or not. Publish it again with the same id.",
      { cause, retryable: true },
    );
  }
  throw await refusalOf(response);
}

const absolute = (accepted: Accepted, url: string | URL): Accepted => ({
  ...accepted,
  statusUrl: new URL(accepted.statusUrl, url).href,
  streamUrl: new URL(accepted.streamUrl, url).href,
});
