import { type Env, realEnv, type Timer } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { beat, greeting, slowReader } from "./sse.ts";

/** What bounds a stream. Given from outside so that tests need not wait. */
export interface StreamBounds {
  readonly bytesMax: number;
  readonly stallMs: number;
  readonly beatMs: number;
  readonly accessMs: number;
  readonly most: number;
}
export const streamBounds: StreamBounds = {
  bytesMax: limits.streamBytesMax,
  stallMs: limits.streamStallMs,
  beatMs: limits.streamBeatMs,
  accessMs: limits.streamAccessMs,
  most: limits.streamsMax,
};

export interface StreamSource {
  /** Messages, from now until the signal aborts. */
  readonly messages: (signal: AbortSignal) => AsyncIterable<string>;
  /** Who reads, where that is known. */
  readonly caller: string | undefined;
  /** Whether the reader may still read. */
  readonly stillAllowed: () => Promise<boolean>;
  /** Ends the connection of a reader that takes nothing; false where it cannot reach it. */
  readonly cut: () => boolean;
  readonly failed: (error: unknown) => void;
}

/** The event streams open in this process. */
export class Streams {
  readonly #env: Env;
  readonly #bounds: StreamBounds;
  readonly #open = new Set<Stream>();
  #closed = false;

  constructor(bounds: StreamBounds, env: Env = realEnv) {
    this.#bounds = bounds;
    this.#env = env;
  }
  get size(): number {
    return this.#open.size;
  }
  /** Throws TOO_MANY_STREAMS, and CLOSED after `close`. */
  start(source: StreamSource): ReadableStream<Uint8Array> {
    if (this.#closed) throw new FactlogError("CLOSED", "this server is going: come again.", { retryable: true });
    if (this.#open.size >= this.#bounds.most)
      throw new FactlogError("TOO_MANY_STREAMS", `${this.#bounds.most} streams are open here: come again later.`, {
        retryable: true,
      });
    const mine =
      source.caller === undefined ? 0 : [...this.#open].filter(({ caller }) => caller === source.caller).length;
    if (mine >= limits.callerStreamsMax)
      throw new FactlogError("TOO_MANY_REQUESTS", `${mine} streams of this caller are open here: end some.`, {
        retryable: true,
      });
    const stream = new Stream(this.#env, this.#bounds, source);
    this.#open.add(stream);
    void stream.ended.then(() => this.#open.delete(stream));
    return stream.body;
  }
  /** Ends every stream after what was already read for it; their readers come again, here or elsewhere. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(
      [...this.#open].map((stream) => {
        stream.stop();
        return stream.ended;
      }),
    );
  }
}

/**
 * One reader. It is paced: what it does not take waits in the log, and at most `bytesMax` here. When it takes nothing of a full
 * buffer for `stallMs`, it is told so and cut off; it comes back with its last id and misses nothing.
 */
class Stream {
  readonly #env: Env;
  readonly #bounds: StreamBounds;
  readonly #source: StreamSource;
  readonly #over = new AbortController();
  readonly #encoder = new TextEncoder();
  readonly #ended = Promise.withResolvers<void>();
  readonly ended: Promise<void> = this.#ended.promise;
  readonly body: ReadableStream<Uint8Array>;
  readonly caller: string | undefined;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #gathered = "";
  #gather: Timer | undefined;
  #timers: Timer[] = [];
  /** Who waits until the reader has taken something. */
  #room: PromiseWithResolvers<"room"> | undefined;
  #gone = false;

  constructor(env: Env, bounds: StreamBounds, source: StreamSource) {
    this.#env = env;
    this.#bounds = bounds;
    this.#source = source;
    this.caller = source.caller;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#room?.resolve("room"),
        cancel: () => this.#leave(),
      },
      { highWaterMark: bounds.bytesMax, size: (chunk) => chunk?.byteLength ?? 0 },
    );
    this.#write(greeting);
    this.#beat();
    this.#watchAccess();
    void this.#run();
  }
  stop(): void {
    this.#over.abort();
  }

  async #run(): Promise<void> {
    try {
      for await (const message of this.#source.messages(this.#over.signal)) {
        this.#gathered += message;
        if (this.#gathered.length >= chunkMax) this.#flush();
        else this.#gather ??= this.#env.after(limits.streamGatherMs, () => this.#flush());
        if (!(await this.#hasRoom())) return;
      }
      this.#flush();
    } catch (error) {
      this.#source.failed(error);
    } finally {
      this.#close();
    }
  }
  #flush(): void {
    this.#gather?.cancel();
    this.#gather = undefined;
    const text = this.#gathered;
    this.#gathered = "";
    this.#write(text);
  }
  #write(text: string): void {
    if (!this.#gone && text !== "") this.#controller.enqueue(this.#encoder.encode(text));
  }
  get #full(): boolean {
    return (this.#controller.desiredSize ?? 0) <= 0;
  }
  /** Waits for room. False where the reader has gone, or had to be cut off. */
  async #hasRoom(): Promise<boolean> {
    if (this.#gone || !this.#full) return !this.#gone;
    if (await this.#taken()) return !this.#gone;
    this.#write(slowReader);
    if (!(await this.#taken())) this.#cut();
    return false;
  }
  /** Whether the reader takes something within `stallMs`. */
  async #taken(): Promise<boolean> {
    this.#room = Promise.withResolvers();
    const { promise, resolve } = Promise.withResolvers<"late">();
    const timer = this.#env.after(this.#bounds.stallMs, () => resolve("late"));
    const first = await Promise.race([this.#room.promise, promise]);
    timer.cancel();
    this.#room = undefined;
    return first === "room";
  }
  #cut(): void {
    if (!this.#source.cut() && !this.#gone)
      this.#controller.error(new FactlogError("TIMEOUT", "the reader took nothing."));
    this.#leave();
  }

  #beat(): void {
    const timer = this.#env.after(this.#bounds.beatMs, () => {
      if (this.#gone) return;
      if (!this.#full) this.#write(beat);
      this.#forget(timer);
      this.#beat();
    });
    this.#timers.push(timer);
  }
  #watchAccess(): void {
    const timer = this.#env.after(this.#bounds.accessMs, () => {
      this.#forget(timer);
      void this.#source.stillAllowed().then(
        (allowed) => (allowed && !this.#gone ? this.#watchAccess() : this.stop()),
        () => this.stop(),
      );
    });
    this.#timers.push(timer);
  }
  #forget(timer: Timer): void {
    this.#timers = this.#timers.filter((each) => each !== timer);
  }

  #close(): void {
    if (!this.#gone) {
      this.#flush();
      this.#controller.close();
    }
    this.#leave();
  }
  #leave(): void {
    this.#gone = true;
    this.#gather?.cancel();
    for (const timer of this.#timers) timer.cancel();
    this.#room?.resolve("room");
    this.#over.abort();
    this.#ended.resolve();
  }
}

const chunkMax = 64 * 1024;
