import { hash } from "node:crypto";

/** Where a derived identity comes from: the delivery, in its effect scope. */
export interface DeliveryIdentity {
  readonly subscription: string;
  readonly source: string;
  readonly eventId: string;
  /** Occurrence time of the event, milliseconds: part of the event itself, so the same wherever it is stored. */
  readonly timeMs: number;
  readonly scope: number;
}

/** Stable over attempts, redrives and replays: 32 characters, hash(subscription, event identity, scope, name). */
export function idempotencyKey(of: DeliveryIdentity, name: string): string {
  return digest("key", of, name).slice(0, 32);
}

/**
 * Id of an event that a delivery states: hash(subscription, event identity, scope, type, name or occurrence), in the form
 * of a UUIDv7 whose time is the cause's, so that derived ids stay together in the index as random ones would not.
 */
export function derivedEventId(of: DeliveryIdentity, type: string, name: string): string {
  return uuidOf(digest("event", of, `${type}\n${name}`), of.timeMs);
}

/** Id of the event of a schedule's tick: the same in every process. */
export function scheduledEventId(source: string, schedule: string, tickMs: number): string {
  return uuidOf(hash("sha256", JSON.stringify(["tick", source, schedule, tickMs]), "hex"), tickMs);
}

function uuidOf(hex: string, timeMs: number): string {
  const time = Math.max(0, Math.trunc(timeMs)).toString(16).padStart(12, "0").slice(-12);
  const variant = (8 + (Number.parseInt(hex[15] ?? "0", 16) & 3)).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-${variant}${hex.slice(3, 6)}-${hex.slice(16, 28)}`;
}

function digest(kind: string, of: DeliveryIdentity, rest: string): string {
  return hash("sha256", JSON.stringify([kind, of.subscription, of.source, of.eventId, of.scope, rest]), "hex");
}
