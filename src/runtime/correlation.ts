import { parseAttributes } from "../event/envelope.ts";
import type { EncodedEvent } from "../event/stored-event.ts";

/** The correlation of an event in its stored form: its own id where none was given. */
export function correlationIdOf(event: Pick<EncodedEvent, "attributes" | "id">): string {
  return parseAttributes(event.attributes).correlationId ?? event.id;
}
