import { FactlogError } from "../errors.ts";
import type { AnyEventType, EventOf, Frame } from "../index.ts";
import { eventOf } from "./event.ts";
import { type Message, messagesIn } from "./messages.ts";
import { refusalOf } from "./refusal.ts";
import { backOffMs, wait } from "./wait.ts";

export interface FollowOptions<E extends AnyEventType = AnyEventType> {
  /** Only these types, their data through their schemas; without it all types, with their data as stored. */
  readonly on?: E | readonly E[];
  readonly signal?: AbortSignal;
  /** Sent with every request, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Begin behind this event, as where an earlier reader ended. */
  readonly after?: string;
}

/**
 * A frame as a client sees it. `reset`: the place it came from is none of this log, which was restored or is another; what it has
 * read may be no fact any more, and what follows is told as to one that comes anew.
 */
export type ClientFrame<E> = Frame<E> | { readonly kind: "reset"; readonly reason: "other-epoch" };

/**
 * The frames of a stream, whose URL publishing answers. When the connection ends it comes again behind the last event, with
 * growing waits: no gap, no repeat. Ends with the end frame, or when the signal aborts. Throws what the server refuses for
 * good (a FactlogError with its code), and NOT_SUPPORTED where no Factlog answers.
 */
export async function* follow<E extends AnyEventType = AnyEventType>(
  streamUrl: string | URL,
  options: FollowOptions<E> = {},
): AsyncGenerator<ClientFrame<EventOf<E>>> {
  const types =
    options.on === undefined ? [] : Array.isArray(options.on) ? (options.on as readonly E[]) : [options.on as E];
  const url = new URL(streamUrl);
  for (const { type } of types) url.searchParams.append("type", type);
  const signal = options.signal ?? new AbortController().signal;
  const told = new Map<string, string>();
  let after = options.after;
  for (let failures = 0; !signal.aborted; failures++) {
    if (failures > 0) await wait(backOffMs(failures - 1), signal);
    const body = await connect(url, after, options.headers ?? {}, signal);
    if (body === undefined) continue;
    try {
      for await (const message of messagesIn(body)) {
        failures = 0;
        if (message.event === "event") after = message.id;
        const frame = frameOf(message, types, told);
        if (frame?.kind === "reset") after = undefined;
        if (frame !== undefined) yield frame;
        if (frame?.kind === "end") return;
      }
    } catch (error) {
      if (error instanceof FactlogError) throw error;
    }
  }
}

/** Undefined where it did not come about, and may in a moment. */
async function connect(
  url: URL,
  after: string | undefined,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array> | undefined> {
  let response: Response;
  try {
    const resume: Record<string, string> = after === undefined ? {} : { "last-event-id": after };
    response = await fetch(url, { headers: { ...headers, ...resume, accept: "text/event-stream" }, signal });
  } catch {
    return undefined;
  }
  const stream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  if (response.ok && stream && response.body !== null) return response.body;
  const refusal = await refusalOf(response);
  if (signal.aborted || refusal.retryable) return undefined;
  throw refusal;
}

type DeltaData = Omit<Extract<Frame<never>, { kind: "delta" }>, "kind">;

/**
 * What is new in a message: a delivery's state is told again to a reader that comes again. A reader that
 * was too slow is told so, which is a reason to come again and nothing else.
 */
function frameOf<E extends AnyEventType>(
  { event, data, id }: Message,
  types: readonly E[],
  told: Map<string, string>,
): ClientFrame<EventOf<E>> | undefined {
  if (event === "event") return { kind: "event", event: eventOf(data, id ?? "", types) };
  if (event === "end") return { kind: "end", ...(JSON.parse(data) as { status: "settled" | "dead" }) };
  if (event === "reset" && (JSON.parse(data) as { reason: string }).reason === "other-epoch") {
    told.clear();
    return { kind: "reset", reason: "other-epoch" };
  }
  if (event === "delta") return { kind: "delta", ...(JSON.parse(data) as DeltaData) };
  if (event !== "delivery") return undefined;
  const delivery = JSON.parse(data) as Omit<Extract<Frame<never>, { kind: "delivery" }>, "kind">;
  const name = JSON.stringify([delivery.subscription, delivery.eventId]);
  const state = JSON.stringify([delivery.status, delivery.reason]);
  if (told.get(name) === state) return undefined;
  told.set(name, state);
  return { kind: "delivery", ...delivery };
}
