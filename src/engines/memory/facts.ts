import type { Env } from "../../env.ts";
import { idConflict, sameContent } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { append, stage } from "./event-log.ts";
import { identityOf, type Store } from "./store.ts";

/** What a ledger works on. `sharesLog`: emitted events go straight into the store's log, else into its outbox. */
export interface Context {
  readonly store: Store;
  readonly env: Env;
  readonly sharesLog: boolean;
}

/** Throws ID_CONFLICT where one of these events may not be emitted beside what is there. Changes nothing. */
export function requireEmittable({ store, sharesLog }: Context, events: readonly EncodedEvent[]): void {
  if (sharesLog) return void stage(store, events, 0);
  const first = new Map(store.outbox.map(({ event }) => [identityOf(event), event]));
  for (const [index, event] of events.entries()) {
    const other = first.get(identityOf(event));
    if (other !== undefined && !sameContent(other, event)) throw idConflict(event, index);
    first.set(identityOf(event), event);
  }
}

/** To the log where it is ours, else to the outbox. */
export function emit({ store, env, sharesLog }: Context, events: readonly EncodedEvent[]): void {
  if (sharesLog) append(store, events, env.now());
  else enqueue(store, events);
}

/** To the outbox, but for what waits there. */
export function enqueue(store: Store, events: readonly EncodedEvent[]): void {
  for (const event of events) {
    if (waiting(store, event) === undefined) store.outbox.push({ seq: ++store.last.seq, event });
  }
}

/** Who waits in the outbox under this identity. */
export const waiting = (store: Store, event: EncodedEvent): EncodedEvent | undefined =>
  store.outbox.find((row) => identityOf(row.event) === identityOf(event))?.event;
