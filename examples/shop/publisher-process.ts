/** A publisher as its parent sees it. */
import { once } from "node:events";
import type { Child, Crew } from "./crew.ts";
import type { Part } from "./publisher.ts";
import type { Placed } from "./web.ts";

export class PublisherProcess {
  readonly #child: Child;
  readonly #answers = new EventTarget();
  readonly #signal: AbortSignal;

  constructor(crew: Crew, role: string, inputPath: string, signal: AbortSignal) {
    this.#signal = signal;
    this.#child = crew.start(role, "publisher.ts", [inputPath]);
    this.#child.hear((detail: Placed) => this.#answers.dispatchEvent(new CustomEvent("placed", { detail })));
  }
  /** Resolves when these orders are durable. One part at a time. */
  async place(part: Part): Promise<Placed> {
    this.#child.tell(part);
    const [answer] = (await once(this.#answers, "placed", { signal: this.#signal })) as [CustomEvent<Placed>];
    return answer.detail;
  }
}
