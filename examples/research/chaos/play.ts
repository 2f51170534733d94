/** The crew under fire: its workers are killed at random, and its provider is no good. `npm start -- --chaos`. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Log, openLog } from "factlog";
import { type Child, Crew } from "../../shop/crew.ts";
import { databaseIn } from "../../shop/database.ts";
import { researchApp } from "../app.ts";
import { speeches } from "../documents.ts";
import { AnalysisRequested } from "../events.ts";
import { extractive } from "../extractive.ts";
import { question, textsOf } from "../research.ts";
import { summarise, type Summary } from "../summary.ts";
import { concurrency, type Count, Provider } from "./provider.ts";

export interface ChaosOptions {
  /** Address of a PostgreSQL database; undefined: an SQLite file. */
  readonly engine: string | undefined;
  readonly kills: number;
  readonly keep: boolean;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}
export interface ChaosSummary extends Omit<Summary, "modelCalls">, Count {
  readonly faults: readonly string[];
  readonly kills: number;
  readonly concurrency: number;
  readonly dead: number;
}

const workers = 3;
const meanWaitMs = 400;
const lookEveryMs = 50;

export async function playChaos(options: ChaosOptions): Promise<ChaosSummary> {
  const home = join(import.meta.dirname, "../.factlog");
  await mkdir(home, { recursive: true });
  const folder = await mkdtemp(join(home, "chaos-"));
  const database = databaseIn(folder, options.engine);
  await database.create();
  const url = database.logNamed("research");
  const log = await openLog(url, { source: "research" });
  let keep = true;
  try {
    const summary = await new Chaos(options, folder, url, log).play();
    keep = options.keep || !summary.ok;
    return summary;
  } finally {
    await log.close();
    if (!keep) {
      await database.remove();
      await rm(folder, { recursive: true, force: true });
    }
    options.say(keep ? `what is left is in ${folder}` : "nothing is left of this run (--keep keeps it)");
  }
}

class Chaos {
  readonly #options: ChaosOptions;
  readonly #log: Log;
  readonly #url: string;
  readonly #crew: Crew;
  readonly #signal: AbortSignal;
  readonly #workers = new Map<string, Child>();
  #lives = 0;
  #kills = 0;

  constructor(options: ChaosOptions, folder: string, url: string, log: Log) {
    const over = new AbortController();
    this.#options = options;
    this.#log = log;
    this.#url = url;
    this.#signal = AbortSignal.any([options.signal, over.signal]);
    this.#crew = new Crew(join(folder, "processes.log"), (error) => over.abort(error));
  }

  async play(): Promise<ChaosSummary> {
    const { say } = this.#options;
    const documents = speeches();
    await using provider = await Provider.start(documents, question);
    const startedMs = performance.now();
    await this.#log.publishAll(documents.map(({ id }) => AnalysisRequested({ documentId: id, question })));
    try {
      for (let n = 0; n < workers; n++) this.#start(provider);
      say(`${documents.length} documents, ${workers} workers; the provider fails, hangs, and takes its time`);
      await Promise.all([this.#killAtRandom(provider), this.#settled()]);
      await Promise.all([...this.#workers.values()].map((worker) => worker.end()));
    } finally {
      this.#crew.killAll();
    }
    const seconds = Math.round(performance.now() - startedMs) / 1_000;
    const { modelCalls: _, ...summary } = await summarise(this.#log, documents.length, extractive.modelId, seconds);
    const dead = (await this.#log.operator.status()).reduce((sum, each) => sum + each.dead, 0);
    return judged({ ...summary, ...provider.count, kills: this.#kills, concurrency, dead });
  }

  /** Worker processes are told apart by the key that they show to the provider. */
  #start(provider: Provider): void {
    const life = `life-${++this.#lives}`;
    Object.assign(process.env, {
      // Most of a start is reading and stripping sources.
      NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? join(import.meta.dirname, "../.factlog/compiled"),
      FACTLOG_URL: this.#url,
      FACTLOG_MODEL: extractive.modelId,
      FACTLOG_MODEL_URL: provider.url,
      FACTLOG_MODEL_KEY: life,
    });
    this.#workers.set(life, this.#crew.start(life, "../research/chaos/worker.ts"));
  }

  /** Waits at random, then kills one of those that wait for an answer. */
  async #killAtRandom(provider: Provider): Promise<void> {
    while (this.#kills < this.#options.kills) {
      await wait(-Math.log(1 - Math.random()) * meanWaitMs, undefined, { signal: this.#signal });
      if (await this.#isSettled()) return;
      const busy = provider.busy.filter((life) => this.#workers.has(life));
      const life = busy[Math.floor(Math.random() * busy.length)];
      const victim = life === undefined ? undefined : this.#workers.get(life);
      if (life === undefined || victim === undefined) continue;
      this.#workers.delete(life);
      const gone = victim.end("SIGKILL");
      provider.killed(life);
      this.#kills++;
      this.#options.say(`${life} (${victim.pid}) is killed; ${provider.count.inFlightAtKill} calls have died so far`);
      await gone;
      this.#start(provider);
    }
  }
  async #settled(): Promise<void> {
    while (!(await this.#isSettled())) await wait(lookEveryMs, undefined, { signal: this.#signal });
  }
  async #isSettled(): Promise<boolean> {
    const names = researchApp(extractive, textsOf([])).subscriptionNames;
    const status = (await this.#log.operator.status()).filter(({ name }) => names.some((each) => each === name));
    return status.length === names.length && status.every(({ depth }) => depth === 0);
  }
}

function judged(facts: Omit<ChaosSummary, "faults">): ChaosSummary {
  const { kills, inFlightAtKill, answeredByKey, recordedCallsRepeated, repeatedInFlight, modelCallsPaidTwice } = facts;
  const repeatedInFlightMax = kills * concurrency;
  const wrong: readonly (readonly [boolean, string])[] = [
    [!facts.ok, "a document has not come to its end, or the log is not well"],
    [facts.summaries !== facts.documents, `${facts.summaries} of ${facts.documents} documents are summed up`],
    [facts.dead > 0, `${facts.dead} dead letters`],
    [recordedCallsRepeated > 0, `${recordedCallsRepeated} recorded calls were made again`],
    [repeatedInFlight > repeatedInFlightMax, `${repeatedInFlight} calls repeated: more than ${repeatedInFlightMax}`],
    [modelCallsPaidTwice > 0, `${modelCallsPaidTwice} answers were paid for twice`],
    [kills === 0 || inFlightAtKill === 0, "nobody was killed in the middle of a call: this run proves nothing"],
    [answeredByKey === 0, "no call was answered by its key: this run proves nothing of payment"],
  ];
  const faults = wrong.flatMap(([isSo, what]) => (isSo ? [what] : []));
  return { ...facts, ok: faults.length === 0, faults };
}
