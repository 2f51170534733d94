import { DatabaseSync } from "node:sqlite";
import { type Log, openLog } from "../../src/index.ts";
import { makeEffectTable } from "../app.ts";
import { Child, type ChildOptions } from "../child.ts";
import { complaints } from "../judge.ts";
import { errorsOnly } from "../say.ts";
import { eventually } from "../scratch.ts";
import { type Said, sharedNowMs, Task, type TaskData } from "./task.ts";

export interface Hand {
  child: Child;
  readonly said: Said[];
}
const upWithinMs = 30_000;

/** Workers on one file, and the log through which they are given their tasks. */
export class Crew {
  readonly log: Log;
  readonly hands: Hand[];
  readonly tasks: TaskData[] = [];
  /** Workers that ended by themselves and were replaced: their last words. */
  readonly deaths: string[] = [];
  #ending = false;
  readonly #file: string;
  readonly #lease: string;

  private constructor(file: string, lease: string, log: Log, options: readonly ChildOptions[]) {
    this.#file = file;
    this.#lease = lease;
    this.log = log;
    this.hands = options.map((each) => {
      const hand = { said: [] } as unknown as Hand;
      this.#start(hand, each);
      return hand;
    });
  }
  static async of(file: string, lease: string, options: readonly ChildOptions[]): Promise<Crew> {
    const log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
    makeEffectTable(file);
    const crew = new Crew(file, lease, log, options);
    const areUp = (): boolean => crew.hands.every(({ said }) => said.some((each) => "up" in each));
    if (await eventually(areUp, upWithinMs)) return crew;
    await crew.end();
    throw new Error("the workers did not start");
  }
  #start(hand: Hand, options: ChildOptions): void {
    const hear = (said: unknown): void => void hand.said.push(said as Said);
    hand.child = new Child("faults/crew-process.ts", [this.#file, this.#lease], hear, options);
    void hand.child.ended.then(() => {
      if (this.#ending) return;
      this.deaths.push(hand.child.errors.slice(-2).join(" | "));
      this.#start(hand, options);
    });
  }

  /** States tasks in one batch: their order in the log is that of their numbers. */
  async give(tasks: readonly Omit<TaskData, "n" | "t">[]): Promise<void> {
    const batch = tasks.map((task, i): TaskData => ({ ...task, n: this.tasks.length + i, t: sharedNowMs() }));
    this.tasks.push(...batch);
    await this.log.publishAll(batch.map((task) => Task(task)));
  }

  /** All is done, or waits behind a dead letter. */
  isThrough(withinMs: number): Promise<boolean> {
    return eventually(async () => {
      const [status] = await this.log.operator.status();
      return status !== undefined && status.depth === status.held && (status.held === 0 || status.dead > 0);
    }, withinMs);
  }

  /** What is wrong with the rows and the sums: `healthy` tasks have one row each, in the order of their key; no other has. */
  async faults(healthy: (task: TaskData) => boolean): Promise<readonly string[]> {
    const own = new DatabaseSync(this.#file, { timeout: 5_000 });
    const rows = own.prepare("SELECT CAST(id AS INTEGER) AS n FROM effect ORDER BY rowid").all();
    own.close();
    const done = rows.map(({ n }) => Number(n));
    const wrong = [...(await complaints(this.log))];
    if (new Set(done).size < done.length) wrong.push(`${done.length - new Set(done).size} rows twice`);
    const last = new Map<string, number>();
    for (const n of done) {
      const key = this.tasks[n]?.key ?? "";
      if (n < (last.get(key) ?? -1)) wrong.push(`key ${key}: ${n} after ${last.get(key)}`);
      last.set(key, n);
    }
    const missing = this.tasks.filter((task) => healthy(task) && !done.includes(task.n));
    if (missing.length > 0) wrong.push(`${missing.length} tasks not done, ${missing[0]?.n} first`);
    return wrong;
  }
  get said(): readonly Said[] {
    return this.hands.flatMap(({ said }) => said);
  }

  async end(): Promise<void> {
    this.#ending = true;
    for (const { child } of this.hands) child.kill("SIGCONT");
    for (const { child } of this.hands) child.kill("SIGTERM");
    const areOver = (): boolean => this.hands.every(({ child }) => child.exit !== undefined);
    if (!(await eventually(areOver, 10_000))) for (const { child } of this.hands) child.kill();
    await Promise.all(this.hands.map(({ child }) => child.ended));
    await this.log.close();
  }
}
