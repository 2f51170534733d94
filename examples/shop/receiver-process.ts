/** The receiver as its parent sees it. */
import { once } from "node:events";
import type { Call, Counts, Effect, News, Order } from "./calls.ts";
import type { Child, Crew } from "./crew.ts";

export class ReceiverProcess {
  readonly child: Child;
  /** Its file: a Call a line. */
  readonly path: string;
  port = 0;
  counts: Counts = { charge: 0, reserve: 0, ship: 0, mail: 0 };
  readonly #news = new EventTarget();
  readonly #signal: AbortSignal;

  private constructor(child: Child, path: string, signal: AbortSignal) {
    this.child = child;
    this.path = path;
    this.#signal = signal;
    child.hear((news: News) => this.#hear(news));
  }
  /** Resolves when it listens. */
  static async start(crew: Crew, path: string, signal: AbortSignal): Promise<ReceiverProcess> {
    const receiver = new ReceiverProcess(crew.start("receiver", "receiver.ts", [path]), path, signal);
    await receiver.#next("ready");
    return receiver;
  }

  /** Resolves when it has served so many calls of this kind. */
  async served(effect: Effect, count: number): Promise<void> {
    while (this.counts[effect] < count) await this.#next("counts");
  }
  /** Has it keep silent to call number `nth` of this process; resolves with the call, which is then surely in flight. */
  async hold(pid: number, nth: number): Promise<Call> {
    this.#tell({ kind: "hold", pid, nth });
    return (await this.#next("held")).call;
  }
  /** Has the depot refuse orders of more CDs than this; null: none. */
  takeParcelsOf(cdsMax: number | null): void {
    this.#tell({ kind: "parcel", cdsMax });
  }
  /** `hear` is called when there are new counts, until the answer is called. */
  watch(hear: (counts: Counts) => void): () => void {
    const listener = (): void => hear(this.counts);
    this.#news.addEventListener("counts", listener);
    return () => this.#news.removeEventListener("counts", listener);
  }

  #tell(order: Order): void {
    this.child.tell(order);
  }
  #hear(news: News): void {
    if (news.kind === "ready") this.port = news.port;
    if (news.kind === "counts") this.counts = news.counts;
    this.#news.dispatchEvent(new CustomEvent(news.kind, { detail: news }));
  }
  async #next<K extends News["kind"]>(kind: K): Promise<Extract<News, { kind: K }>> {
    const [event] = (await once(this.#news, kind, { signal: this.#signal })) as [
      CustomEvent<Extract<News, { kind: K }>>,
    ];
    return event.detail;
  }
}
