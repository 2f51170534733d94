import { toCloudEventJson } from "../index.ts";
import type { Frame, RecordedEvent } from "../index.ts";

/**
 * A frame as a server-sent event. Only an event has an id, its position: that is where a reader goes on. Every line of the
 * data has its prefix, whatever they hold.
 */
export function sseOf(frame: Frame<RecordedEvent>, withReasons: boolean): string {
  switch (frame.kind) {
    case "event":
      return eventMessage(frame.event);
    case "delta": {
      const { subscription, eventId, text } = frame;
      return message("delta", JSON.stringify({ subscription, eventId, text }));
    }
    case "delivery": {
      const { subscription, eventId, status, reason } = frame;
      // The error's text may tell of the inside: a reader without the right to dead letters gets the id alone.
      const shown = withReasons ? reason : publicPartOf(status, reason);
      return message("delivery", JSON.stringify({ subscription, eventId, status, reason: shown }));
    }
    case "end":
      return message("end", JSON.stringify({ status: frame.status }));
  }
}

/** One event goes to many readers. */
const messages = new WeakMap<RecordedEvent, string>();
function eventMessage(event: RecordedEvent): string {
  const known = messages.get(event);
  if (known !== undefined) return known;
  const text = message("event", toCloudEventJson(event), event.position);
  messages.set(event, text);
  return text;
}

export const slowReader: string = message("reset", JSON.stringify({ reason: "slow-reader" }));
/** The place a reader comes from is none of this log, which was restored or is another: what it has read may be no fact any more. */
export const otherEpoch: string = message("reset", JSON.stringify({ reason: "other-epoch" }));
export const beat = ":\n\n";
/** First words: they bring the headers out, and say how long to wait before coming again. */
export const greeting = "retry: 1000\n\n";

function message(event: string, data: string, id?: string): string {
  const lines = data.split(/\r\n|\r|\n/u).map((line) => `data: ${line}\n`);
  return `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}${lines.join("")}\n`;
}

/** The id of a dead letter; of a wait, its kind. */
function publicPartOf(status: string, reason: string): string {
  if (status === "waiting") return reason.split(":")[0] ?? "";
  return /^.*?:\d+\.\d+\.\d+/su.exec(reason)?.[0] ?? "";
}
