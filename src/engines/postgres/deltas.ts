import type { Delta, DeltaPort } from "../../engine/deltas.ts";

/** A notification carries less than 8,000 bytes. */
const payloadBytesMax = 7_900;
/** Tellings that wait for a server which does not answer; more are lost. */
const waitingMax = 100;
/** Tells a delta from a head, which is a number. */
const mark = "d";

/** Deltas travel as notifications on the log's own channel: the server keeps nothing of them. */
export class PostgresDeltas implements DeltaPort {
  readonly #me: string;
  readonly #notify: (payloads: readonly string[]) => Promise<void>;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  readonly #ears = new Set<(delta: Delta) => void>();

  constructor(me: string, notify: (payloads: readonly string[]) => Promise<void>) {
    this.#me = me;
    this.#notify = notify;
  }
  tell(deltas: readonly Delta[]): void {
    const payloads = deltas.flatMap((delta) => this.#payloadsOf(delta));
    if (this.#waiting >= waitingMax) return;
    this.#waiting++;
    // One after the other: connections are several.
    this.#last = this.#last
      .then(() => this.#notify(payloads))
      .catch(() => {
        // Lost.
      })
      .finally(() => this.#waiting--);
  }
  listen(hear: (delta: Delta) => void): () => void {
    this.#ears.add(hear);
    return () => this.#ears.delete(hear);
  }
  /** A notification came. Whether it was a delta. */
  notified(payload: string): boolean {
    if (!payload.startsWith(mark)) return false;
    const said = saidIn(payload.slice(mark.length));
    if (said !== undefined && said[0] !== this.#me) for (const hear of this.#ears) hear(said[1]);
    return true;
  }

  #payloadsOf(delta: Delta): readonly string[] {
    const payload = `${mark}${JSON.stringify([this.#me, delta])}`;
    if (Buffer.byteLength(payload) <= payloadBytesMax) return [payload];
    const { text } = delta;
    if (text.length < 2) return [];
    // Not between the halves of one character.
    const half = text.length >> 1;
    const at = half + (/[\uDC00-\uDFFF]/u.test(text.charAt(half)) ? 1 : 0);
    if (at >= text.length) return [];
    return [text.slice(0, at), text.slice(at)].flatMap((part) => this.#payloadsOf({ ...delta, text: part }));
  }
}

/** Whoever may connect to the database may notify, and say anything. */
function saidIn(text: string): readonly [teller: string, delta: Delta] | undefined {
  try {
    const [teller, delta] = JSON.parse(text) as [string, Delta];
    return typeof delta.text === "string" && typeof delta.correlationId === "string" ? [teller, delta] : undefined;
  } catch {
    return undefined;
  }
}
