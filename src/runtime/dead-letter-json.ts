import { toCloudEventJson } from "../event/cloudevents.ts";
import type { DeadLetter } from "./operator.ts";

/** One line of a list: no history, no data. */
export function deadLetterSummary(letter: DeadLetter): Readonly<Record<string, unknown>> {
  const { event, attempts, ...facts } = letter;
  const last = attempts.at(-1);
  const error = last?.error.split("\n")[0] ?? "";
  return { ...facts, type: event?.type, position: event?.position, at: last?.at, error };
}

/** All of it as JSON text, the event as a CloudEvent with its data byte for byte. */
export function deadLetterJson(letter: DeadLetter): string {
  const { event, ...facts } = letter;
  const head = JSON.stringify(facts);
  return event === undefined ? head : `${head.slice(0, -1)},"event":${toCloudEventJson(event)}}`;
}
