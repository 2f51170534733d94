import type { DeliveryMessage, WorkerMessage } from "../../observe/channels.ts";
import { age, count, duration, plural } from "../format.ts";
import type { DevSubscription } from "./report.ts";

/** What `dev` prints, line by line. */
export function deliveryLine(message: DeliveryMessage): string {
  const { type, id, subscription, again } = message;
  return `${type} ${id} -> ${subscription} ${outcomeOf(message)}${again ? " (delivered again after a worker died, same idempotency key)" : ""}`;
}

function outcomeOf({ outcome, attempt, attemptsMax, durationMs, dueInMs = 0, error }: DeliveryMessage): string {
  const cause = error === undefined ? "" : `: ${error.split("\n")[0]}`;
  switch (outcome) {
    case "done":
      return attempt === 1 ? `done, ${duration(durationMs)}` : `done at attempt ${attempt}, ${duration(durationMs)}`;
    case "skipped":
      return "skipped by its filter";
    case "retry":
      return `retry in ${age(dueInMs)} (${attempt}/${attemptsMax})${cause}`;
    case "deferred":
      return `deferred for ${age(dueInMs)}${cause}`;
    case "await-deploy":
      return `waits for newer code, next look in ${age(dueInMs)}${cause}`;
    case "waiting":
      return `waiting, looks again in ${duration(dueInMs)} at the latest`;
    case "dead":
      return `DEAD after ${plural(attempt, "attempt")}${cause}; see: factlog dead list`;
  }
}

export function subscriptionLine({ name, types, state, depth, dead, closed, blockedKeys }: DevSubscription): string {
  const on = types.length > 4 ? `${types.slice(0, 3).join(", ")} and ${types.length - 3} more` : types.join(", ");
  const facts = [
    state === "stopped" ? "stopped by a dead letter" : undefined,
    state === "degraded" ? "degraded: it only probes" : undefined,
    depth > 0 ? `${count(depth)} to go` : state === "active" ? "caught up" : undefined,
    closed > 0 ? `${count(closed)} done` : undefined,
    dead > 0
      ? `${plural(dead, "dead letter")}${blockedKeys > 0 ? `, ${plural(blockedKeys, "key")} blocked` : ""}`
      : undefined,
  ];
  return `${name} on ${on}  ${facts.filter((fact) => fact !== undefined).join(", ")}`;
}

/** undefined: of no interest here. */
export function workerLine(message: WorkerMessage): string | undefined {
  switch (message.kind) {
    case "joined":
      return message.others > 0
        ? `shares the work with ${plural(message.others, "other worker process", "other worker processes")}`
        : undefined;
    case "took-over":
      return `took over ${message.subscription} from a worker that died`;
    case "taken-for-dead":
      return "this worker stood still for too long and was taken for dead; it joins anew";
    case "left":
      return undefined;
  }
}

export function logLine(level: string, message: string, fields: object | undefined): string {
  const facts = fields === undefined || Object.keys(fields).length === 0 ? "" : `  ${JSON.stringify(fields)}`;
  return `${level}: ${message}${facts}`;
}
