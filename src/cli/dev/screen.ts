import type { WorkerMessage } from "../../observe/channels.ts";
import type { ShownError } from "../failure.ts";
import { age, duration } from "../format.ts";
import type { Output } from "../output.ts";
import { deliveryLine, logLine, subscriptionLine, workerLine } from "./lines.ts";
import type { DevSubscription, Report } from "./report.ts";

/** All that `dev` prints once it runs: a line for people, or an object with its kind. */
export class Screen {
  readonly #out: Output;

  constructor(out: Output) {
    this.#out = out;
  }
  get json(): boolean {
    return this.#out.json;
  }
  #tell(object: object, text: string, style?: "bad" | "faint"): void {
    this.#out.object(object);
    this.#out.say(text, style);
  }

  deliveries({ deliveries, unshown }: Extract<Report, { kind: "deliveries" }>): void {
    for (const delivery of deliveries) {
      this.#tell(
        { kind: "delivery", ...delivery, delivery: undefined },
        deliveryLine(delivery),
        delivery.outcome === "dead" ? "bad" : undefined,
      );
    }
    if (unshown > 0) this.#tell({ kind: "unshown", deliveries: unshown }, `... and ${unshown} more`, "faint");
  }
  worker({ kind: event, ...facts }: WorkerMessage): void {
    const line = workerLine({ kind: event, ...facts } as WorkerMessage);
    this.#out.object({ kind: "worker", event, ...facts });
    if (line !== undefined) this.#out.say(line);
  }
  log(record: Extract<Report, { kind: "log" }>): void {
    this.#tell(record, logLine(record.level, record.message, record.fields));
  }
  /** `cause`: why it was started again. */
  ready(subscriptions: readonly DevSubscription[], cause: string | undefined, tookMs: number): void {
    this.#out.object({ kind: cause === undefined ? "started" : "restarted", cause, subscriptions });
    if (cause !== undefined) this.#out.say(`restarted in ${duration(tookMs)} (${cause})`);
    // After a restart those that are as they should be are no news.
    const news = subscriptions.filter((each) => cause === undefined || each.depth > 0 || each.dead > 0);
    for (const each of news) this.#out.say(subscriptionLine(each));
  }
  failed(error: ShownError): void {
    this.#out.object({ kind: "failed", error: error.fields });
    for (const line of error.lines) this.#out.say(line, "bad");
  }
  waiting(file: string): void {
    this.#tell({ kind: "waiting", file }, `waiting for a change of ${file}`);
  }
  died(how: string, waitMs: number): void {
    this.#tell({ kind: "died", how, waitMs }, `the worker died (${how}), starting it again in ${age(waitMs)}`, "bad");
  }
}
