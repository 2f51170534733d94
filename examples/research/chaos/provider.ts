/**
 * A provider that is no good: one call in five fails, one in ten hangs, every answer takes its time. It honours
 * `Idempotency-Key`, and keeps its own count of all that it was asked.
 */
import { setTimeout as wait } from "node:timers/promises";
import { type Answer, type Call, type Message, ModelServer } from "../../../test/support/model-server.ts";
import { type Document, sectionsOf } from "../documents.ts";
import { answerTo } from "../extractive.ts";
import { askFor, quotesIn } from "../quotes.ts";

/** Model calls that one worker may have under way: the researcher's and the summariser's. */
export const concurrency = 16;
/** After so long a worker gives a call up. */
export const hangMs = 2_000;
const [failsIn, hangsIn] = [5, 10];
const slowestMs = 200;

interface Asked {
  /** Which worker, by the key that it shows. */
  readonly life: string;
  readonly beganMs: number;
  outcome: "open" | "answered" | "failed" | "hung" | "gone";
  /** Its worker was killed while it was under way. */
  cut: boolean;
  /** It was asked for again, and counted as repeated. */
  again: boolean;
}
/** One question of the crew: a section of a document, or, last, what is quoted of all of them. */
interface Question {
  readonly document: string;
  readonly place: number;
  readonly answer: string;
}

/** By its own count alone. */
export interface Count {
  readonly calls: number;
  readonly failed: number;
  readonly hung: number;
  /** Calls that a worker had under way when it was killed. */
  readonly inFlightAtKill: number;
  /**
   * Calls for what was answered before to somebody who had kept it: the worker lives, or the crew has asked for what
   * follows on it.
   */
  readonly recordedCallsRepeated: number;
  /** Calls for what somebody who was killed had asked for, and may not have kept. */
  readonly repeatedInFlight: number;
  /** Calls that cost nothing: their key was known. */
  readonly answeredByKey: number;
  readonly modelCallsPaid: number;
  /** Questions that were paid for more than once. */
  readonly modelCallsPaidTwice: number;
}

export class Provider implements AsyncDisposable {
  readonly #questions: ReadonlyMap<string, Question>;
  readonly #asked = new Map<string, Asked[]>();
  /** How far the crew has come with a document: what it asked for last. */
  readonly #reached = new Map<string, number>();
  readonly #killed = new Set<string>();
  readonly #keys = new Set<string>();
  readonly #paid = new Map<string, number>();
  #inFlightAtKill = 0;
  #recordedCallsRepeated = 0;
  #repeatedInFlight = 0;
  #answeredByKey = 0;
  #server!: ModelServer;

  readonly #chance: () => number;

  private constructor(documents: readonly Document[], question: string, chance: () => number) {
    this.#chance = chance;
    this.#questions = new Map(documents.flatMap((each) => questionsOn(each, question)));
  }
  /** `chance`: numbers from 0 to 1, which decide what becomes of each call. */
  static async start(documents: readonly Document[], question: string, chance = Math.random): Promise<Provider> {
    const provider = new Provider(documents, question, chance);
    provider.#server = await ModelServer.start((messages, _, call) => provider.#answer(messages, call));
    return provider;
  }
  get url(): string {
    return this.#server.url;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  /** Workers that have a call under way now. */
  get busy(): readonly string[] {
    return [...new Set(this.#open().map(({ life }) => life))];
  }
  /** Call it when the worker is killed. */
  killed(life: string): void {
    this.#killed.add(life);
    for (const each of this.#open()) if (each.life === life) this.#cut(each);
  }
  #cut(call: Asked): void {
    call.cut = true;
    this.#inFlightAtKill++;
  }
  #open(): readonly Asked[] {
    return [...this.#asked.values()].flat().filter(({ outcome }) => outcome === "open" || outcome === "hung");
  }

  get count(): Count {
    const all = [...this.#asked.values()].flat();
    const payments = [...this.#paid.values()];
    return {
      calls: all.length,
      failed: all.filter(({ outcome }) => outcome === "failed").length,
      hung: this.#hung,
      inFlightAtKill: this.#inFlightAtKill,
      recordedCallsRepeated: this.#recordedCallsRepeated,
      repeatedInFlight: this.#repeatedInFlight,
      answeredByKey: this.#answeredByKey,
      modelCallsPaid: payments.reduce((sum, times) => sum + times, 0),
      modelCallsPaidTwice: payments.filter((times) => times > 1).length,
    };
  }
  #hung = 0;

  #answer(messages: readonly Message[], { headers, ended }: Call): Answer {
    const content = String(messages.at(-1)?.content);
    const question = this.#questions.get(content);
    if (question === undefined) return { status: 400 };
    const life = String(headers.authorization).replace("Bearer ", "");
    const call: Asked = { life, beganMs: performance.now(), outcome: "open", cut: false, again: false };
    // It was sent before the kill, and arrives after it.
    if (this.#killed.has(life)) this.#cut(call);
    this.#judge(content, question);
    this.#asked.set(content, [...(this.#asked.get(content) ?? []), call]);
    const fate = this.#chance();
    if (fate < 1 / failsIn) {
      call.outcome = "failed";
      return { status: 500 };
    }
    void ended.then((how) => (call.outcome = how));
    this.#pay(content, String(headers["idempotency-key"]));
    if (fate < 1 - 1 / hangsIn) return { text: question.answer, when: wait(this.#chance() * slowestMs) };
    call.outcome = "hung";
    this.#hung++;
    return { when: new Promise<never>(() => {}) };
  }

  /** Whether this call repeats one that was answered, or was under way at a kill. What failed is no repetition. */
  #judge(content: string, { document, place }: Question): void {
    const reached = this.#reached.get(document) ?? 0;
    this.#reached.set(document, Math.max(reached, place));
    for (const call of this.#asked.get(content) ?? []) {
      if (call.again || (call.outcome !== "answered" && !call.cut)) continue;
      call.again = true;
      const isKept = call.outcome === "answered" && (reached > place || this.#hasKept(call));
      // Answered, and given up all the same: whoever asked was too busy to look, and asks again.
      if (!isKept && !call.cut && !this.#killed.has(call.life)) continue;
      if (isKept) this.#recordedCallsRepeated++;
      else this.#repeatedInFlight++;
    }
  }

  /** A worker that lives has what it was answered, but for what it had given up by then. */
  #hasKept({ life, beganMs }: Asked): boolean {
    return !this.#killed.has(life) && performance.now() - beganMs < hangMs;
  }

  /** What is under way is paid for, whether its answer arrives or not; under a key that is known, nothing is. */
  #pay(content: string, key: string): void {
    if (this.#keys.has(key)) {
      this.#answeredByKey++;
      return;
    }
    this.#keys.add(key);
    this.#paid.set(content, (this.#paid.get(content) ?? 0) + 1);
  }
}

function questionsOn({ id, text }: Document, question: string): [string, Question][] {
  const sections = sectionsOf(text).map((section, place): [string, Question] => {
    const asked = askFor(3, question, section);
    return [asked, { document: id, place, answer: answerTo(asked) }];
  });
  const quotes = sections.flatMap(([, { answer }]) => quotesIn(answer));
  const last = askFor(5, question, quotes.map((quote) => `> ${quote}`).join("\n"));
  return [...sections, [last, { document: id, place: sections.length, answer: answerTo(last) }]];
}
