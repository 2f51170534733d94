import type { From } from "../app/subscription.ts";
import type { Engine } from "../engine/engine.ts";
import type { EventLog } from "../engine/event-log.ts";
import { pause, type Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import type { AnyEventType, EventOf } from "../event/define.ts";
import { justBefore, parsePosition, type Position } from "../event/position.ts";
import type { StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { DeliveryNews } from "./delivery-news.ts";
import { type Delta, DeltaQueue, type Deltas } from "./deltas.ts";
import { outstanding } from "./outstanding.ts";
import { type ReadOptions, View, walk } from "./read.ts";

export type Frame<E> =
  | { readonly kind: "event"; readonly event: E }
  /** What a handler of this correlation shows while it works. Lossy: of a moment, and kept nowhere. */
  | { readonly kind: "delta"; readonly subscription: string; readonly eventId: string; readonly text: string }
  /**
   * A delivery of this correlation changed for good or for long. `reason` of a dead one: the dead letter's id and its error;
   * of one that waits: "approval: " and what is asked, "event: " and the types, "sleep: " and until when.
   */
  | {
      readonly kind: "delivery";
      readonly subscription: string;
      readonly eventId: string;
      readonly status: "waiting" | "dead" | "resumed";
      readonly reason: string;
    }
  /** Last frame: nothing of this correlation is pending any more. */
  | { readonly kind: "end"; readonly status: "settled" | "dead" };

export interface FollowOptions<E extends AnyEventType = AnyEventType> extends ReadOptions<E> {
  /**
   * Of a correlation: its first event is known to stand here or later, so that nothing before is read. Give the position of
   * a receipt that began it. Takes the place of `from`.
   */
  readonly since?: Position;
  /** Shows only events behind this one: how a reader goes on where it was cut off. What is pending follows from all. */
  readonly after?: Position;
  /**
   * Without `on`: events may be the same objects that other readers get. Cheaper where many follow; do not change their data.
   * Default false.
   */
  readonly shared?: boolean;
}

/**
 * Live events from `from` on, without end; of a correlation, also what its handlers show, what became of its deliveries, and an
 * end frame. Without `deltas` nothing of the former.
 */
export async function* follow<E extends AnyEventType>(
  engine: Engine,
  options: FollowOptions<E>,
  deltas?: Deltas,
): AsyncGenerator<Frame<EventOf<E>>> {
  const { correlationId } = options;
  const queue =
    correlationId === undefined || deltas === undefined
      ? undefined
      : new DeltaQueue(deltas, (delta) => isWanted(delta, options));
  try {
    yield* followLog(engine, options, queue);
  } finally {
    queue?.close();
  }
}

function isWanted(delta: Delta, { correlationId, key, group }: ReadOptions): boolean {
  if (key !== undefined && delta.key !== key) return false;
  if (group !== undefined && delta.group !== group) return false;
  return delta.correlationId === correlationId;
}

async function* followLog<E extends AnyEventType>(
  engine: Engine,
  options: FollowOptions<E>,
  queue: DeltaQueue | undefined,
): AsyncGenerator<Frame<EventOf<E>>> {
  const { correlationId } = options;
  const signal = options.signal ?? new AbortController().signal;
  const view = new View(options, engine.log.epoch, options.shared);
  // What is pending of a correlation follows from all its events, whatever types the caller wants to see.
  const types = correlationId === undefined ? view.types : undefined;
  const steps = await walk(engine.log, { ...options, types }, startOf(options, engine.log.epoch));
  const isNew = newsAfter(options.after, engine.log);
  const seen: StoredEvent[] = [];
  const deliveries = new DeliveryNews(engine.ledger);
  while (!signal.aborted) {
    const owed =
      correlationId !== undefined && steps.atHead && seen.length > 0
        ? await outstanding(engine.ledger, seen)
        : undefined;
    const page = await steps.next();
    yield* shown(queue);
    for (const stored of page)
      if (view.shows(stored) && isNew(stored)) yield { kind: "event", event: view.decode(stored) };
    if (correlationId !== undefined) seen.push(...page);
    if (owed !== undefined) yield* await deliveries.since(owed);
    // Nothing was owed before this page was read, and it held nothing: nothing can follow.
    if (owed?.pending === 0 && page.length === 0 && steps.atHead) {
      yield { kind: "end", status: owed.dead.length > 0 ? "dead" : "settled" };
      return;
    }
    if (steps.atHead && page.length === 0) yield* idle(engine, queue, signal);
  }
}

/** Waits for news of the log; meanwhile, what handlers show. */
async function* idle(engine: Engine, queue: DeltaQueue | undefined, signal: AbortSignal): AsyncGenerator<Frame<never>> {
  const woken = engine.log.wake(limits.wakeMaxMs, signal).then(() => "wake" as const);
  if (queue === undefined) return void (await woken);
  while ((await Promise.race([woken, queue.came])) === "delta") yield* shown(queue);
}

function* shown(queue: DeltaQueue | undefined): Generator<Frame<never>> {
  for (const { subscription, eventId, text } of queue?.take() ?? [])
    yield { kind: "delta", subscription, eventId, text };
}

function startOf(
  { from, since, after, correlationId }: Pick<FollowOptions, "from" | "since" | "after" | "correlationId">,
  epoch: string,
): From {
  if (since !== undefined) return justBefore(since, epoch);
  if (from !== undefined) return from;
  return correlationId !== undefined ? "beginning" : (after ?? "now");
}

function newsAfter(after: Position | undefined, log: EventLog): (stored: StoredEvent) => boolean {
  if (after === undefined) return () => true;
  const { position } = parsePosition(after, log.epoch);
  if (log.capabilities.totalOrder) return (stored) => stored.position > position;
  throw new FactlogError("NOT_SUPPORTED", "this log has no order between slots: a reader cannot go on in it.");
}

/**
 * The first of these facts in the correlation; facts already there count. Rejects with TIMEOUT, and with DELIVERY_DEAD as
 * soon as the chain has died: nothing of it is pending, and something of it is dead.
 */
export async function until<E extends AnyEventType>(
  env: Env,
  engine: Engine,
  correlationId: string,
  type: E | readonly E[],
  options: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal | undefined;
    readonly since: Position | undefined;
  },
): Promise<EventOf<E>> {
  const over = new AbortController();
  const cancel = (): void => over.abort();
  options.signal?.addEventListener("abort", cancel, { once: true });
  void pause(env, options.timeoutMs, over.signal).then(cancel);
  const names = (Array.isArray(type) ? (type as readonly E[]) : [type as E]).map((each) => each.type).join(" or ");
  let died: string | undefined;
  try {
    options.signal?.throwIfAborted();
    const since = options.since === undefined ? {} : { since: options.since };
    for (;;) {
      for await (const frame of follow(engine, { on: type, correlationId, signal: over.signal, ...since })) {
        if (frame.kind === "event") return frame.event;
        if (frame.kind === "delivery" && frame.status === "dead") died = frame.reason;
        if (frame.kind === "end" && frame.status === "dead")
          throw new FactlogError(
            "DELIVERY_DEAD",
            `no ${names} can come: ${died}. Mend it, then \`factlog dead redrive\`.`,
            { details: { correlationId, deadLetter: died } },
          );
      }
      options.signal?.throwIfAborted();
      if (over.signal.aborted)
        throw new FactlogError(
          "TIMEOUT",
          `no ${names} within ${options.timeoutMs} ms. It may still come: ask again with the same receipt.`,
          { details: { correlationId }, retryable: true },
        );
      await engine.log.wake(limits.wakeMaxMs, over.signal);
    }
  } finally {
    options.signal?.removeEventListener("abort", cancel);
    over.abort();
  }
}
