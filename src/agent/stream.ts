import type { LanguageModelMiddleware } from "ai";

type WrapStream = NonNullable<LanguageModelMiddleware["wrapStream"]>;
export type LiveStream = Awaited<ReturnType<WrapStream>>;
export type StreamPart = LiveStream["stream"] extends ReadableStream<infer P> ? P : never;
/** What is remembered of a stream. */
export interface StreamResult {
  readonly parts: readonly StreamPart[];
}

/**
 * A model's stream that is recorded while it is shown. It is shown as it comes, but for its end, which comes when the
 * answer is remembered: the SDK runs the tools then.
 */
export class RecordedStream {
  readonly #stream: ReadableStream<StreamPart>;
  readonly #opened = Promise.withResolvers<void>();
  #controller!: ReadableStreamDefaultController<StreamPart>;
  #runs = 0;
  /** As they came, where they came in this run. */
  #parts: readonly StreamPart[] | undefined;
  #shown = 0;
  #isGone = false;

  readonly #said: (text: string) => void;

  /** `said` gets the text as it comes. */
  constructor(said: (text: string) => void) {
    this.#said = said;
    this.#stream = new ReadableStream<StreamPart>({
      start: (controller) => void (this.#controller = controller),
      cancel: () => void (this.#isGone = true),
    });
  }

  /** Inside the step: reads the provider's stream to its end. */
  async record(live: LiveStream): Promise<StreamResult> {
    const isFirst = ++this.#runs === 1;
    this.#opened.resolve();
    const parts: StreamPart[] = [];
    for await (const part of live.stream as unknown as AsyncIterable<StreamPart>) {
      if (part.type === "ping" || part.type === "raw") continue;
      if (part.type === "error") throw part.error;
      parts.push(part);
      if (part.type === "text-delta") this.#said(part.delta);
      if (isFirst) this.#show(part);
    }
    if (parts.at(-1)?.type !== "finish") throw new Error("the model's stream ended before it was finished");
    this.#parts = parts;
    return { parts: joined(parts.map(withoutBytes)) };
  }
  #show(part: StreamPart): void {
    if (part.type === "finish") return;
    this.#shown++;
    this.#enqueue(part);
  }
  #enqueue(part: StreamPart): void {
    if (!this.#isGone) this.#controller.enqueue(part);
  }

  /** Gives the stream as soon as it is open; what was not shown comes when the step is done. */
  async follow(step: Promise<StreamResult>): Promise<LiveStream> {
    step.then(
      ({ parts }) => {
        this.#opened.resolve();
        for (const part of this.#parts?.slice(this.#shown) ?? parts) this.#enqueue(revived(part));
        if (!this.#isGone) this.#controller.close();
      },
      (error: unknown) => {
        this.#opened.reject(error);
        if (!this.#isGone) this.#controller.error(error);
      },
    );
    await this.#opened.promise;
    return { stream: this.#stream };
  }
}

/** Bytes are no JSON; base64 text is what the SDK takes as well. */
export function withoutBytes<P extends { readonly type: string }>(part: P): P {
  const { data } = part as { readonly data?: { readonly type: string; readonly data?: unknown } };
  if (part.type !== "file" || data?.type !== "data" || !(data.data instanceof Uint8Array)) return part;
  return { ...part, data: { type: "data", data: Buffer.from(data.data).toString("base64") } };
}

/** Pieces of one text as one piece: what is remembered need not come in the provider's portions. */
function joined(parts: readonly StreamPart[]): readonly StreamPart[] {
  const whole: StreamPart[] = [];
  for (const part of parts) {
    const last = whole.at(-1);
    if (isDelta(part) && isDelta(last) && part.type === last.type && part.id === last.id && !hasMore(part)) {
      whole[whole.length - 1] = { ...last, delta: last.delta + part.delta };
    } else whole.push(part);
  }
  return whole;
}
type Delta = Extract<StreamPart, { readonly delta: string }>;
const isDelta = (part: StreamPart | undefined): part is Delta => part !== undefined && "delta" in part;
const hasMore = (part: Delta): boolean => part.providerMetadata !== undefined;

function revived(part: StreamPart): StreamPart {
  if (part.type !== "response-metadata" || part.timestamp === undefined) return part;
  return { ...part, timestamp: new Date(part.timestamp) };
}
