import assert from "node:assert/strict";
import { encodeEvent, type EncodeContext } from "../../src/event/codec.ts";
import type { NewEvent } from "../../src/event/define.ts";
import type { EncodedEvent, StoredEvent } from "../../src/event/stored-event.ts";
import { FactlogError, type FactlogErrorCode } from "../../src/errors.ts";

export const context: EncodeContext = { source: "test", nowMs: 1_764_000_000_000, uuid: () => "uuid-1" };

export function encode(event: NewEvent, more: Partial<EncodeContext> = {}): EncodedEvent {
  return encodeEvent(event, { ...context, ...more });
}

/** As a log would give it back, at slot 3, position 42. */
export function stored(event: EncodedEvent, changes: Partial<StoredEvent> = {}): StoredEvent {
  return { ...event, slot: 3, position: 42, recordedMs: 1_764_000_000_500, ...changes };
}

/** Runs `act`, which must throw a FactlogError of this code whose message matches; gives the error. */
export function refused(code: FactlogErrorCode, message: RegExp, act: () => unknown): FactlogError {
  let caught: unknown;
  assert.throws(act, (error) => {
    caught = error;
    return true;
  });
  assert.ok(caught instanceof FactlogError, `threw ${String(caught)}`);
  assert.equal(caught.code, code);
  assert.match(caught.message, message);
  return caught;
}
