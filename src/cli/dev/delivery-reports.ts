import type { DeliveryMessage } from "../../observe/channels.ts";
import type { Report } from "./report.ts";

const flushMs = 20;
/** Deliveries told one by one per flush; further ones that are simply done are only counted. */
const shownMax = 100;
const bufferMax = 1_000;

/** Gathers deliveries into few reports: thousands a second must neither fill the memory nor the screen. */
export class DeliveryReports {
  readonly #send: (report: Report) => void;
  #deliveries: DeliveryMessage[] = [];
  #unshown = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (report: Report) => void) {
    this.#send = send;
  }
  add(delivery: DeliveryMessage): void {
    const most = delivery.outcome === "done" || delivery.outcome === "skipped" ? shownMax : bufferMax;
    if (this.#deliveries.length < most) this.#deliveries.push(delivery);
    else this.#unshown++;
    this.#timer ??= setTimeout(() => this.flush(), flushMs);
  }
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#deliveries.length === 0) return;
    this.#send({ kind: "deliveries", deliveries: this.#deliveries, unshown: this.#unshown });
    this.#deliveries = [];
    this.#unshown = 0;
  }
}
