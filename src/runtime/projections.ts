import type { SubscriptionSpec, ProjectionSpec } from "../app/subscription.ts";
import type { Ledger, RowState, SlotRef } from "../engine/ledger.ts";
import { type Generation, generationName } from "../engine/projections.ts";
import type { Timer } from "../env.ts";
import { FactlogError, hasCode, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { definitionOfSpec, enrol, requireOrder } from "./enrol.ts";
import type { Runner } from "./runner.ts";
import type { Enrolment, RunnerWorld } from "./runner-world.ts";

/** What a keeper needs of the process around it. */
export interface KeeperWorld extends Pick<RunnerWorld, "env" | "log" | "ledger" | "logger" | "fail"> {
  open(spec: SubscriptionSpec, enrolment: Enrolment): Runner;
  shut(runner: Runner): void;
}
export type ProjectionSubscription = SubscriptionSpec & { readonly projection: ProjectionSpec };

interface Served {
  readonly runner: Runner;
  generation: Generation;
}
/** The live generation stands still until the other one is where it is. */
interface Frozen {
  readonly seal: number;
  readonly sinceMs: number;
  readonly marks: ReadonlyMap<number, number>;
}

export const isProjection = (spec: SubscriptionSpec): spec is ProjectionSubscription => spec.projection !== undefined;

/**
 * One projection in one process: works on its generations, begins a new one where the code has a newer version or an
 * operator asks for it, and changes over when that one has caught up. Every process does this: each step is one act of the
 * ledger, which only one of them wins, and whoever is left goes on from where the ledger stands.
 */
export class ProjectionKeeper {
  readonly spec: ProjectionSubscription;
  readonly #world: KeeperWorld;
  readonly #served = new Map<number, Served>();
  readonly #shape: string;
  #frozen: Frozen | undefined;
  #looking: Promise<boolean> | undefined;
  #timer: Timer | undefined;
  #stopped = false;
  #told = "";

  constructor(world: KeeperWorld, spec: ProjectionSubscription) {
    this.#world = world;
    this.spec = spec;
    this.#shape = shapeOf(spec);
  }

  /** Throws where the projection cannot be: what it finds, and the first runners, are there when it resolves. */
  async begin(): Promise<void> {
    requireOrder(this.#world.log, this.spec);
    await this.#serve();
    this.#schedule();
  }
  /** Resolves when the look that is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking?.catch(() => false);
  }
  /** Does what is to be done now. True: a rebuild is under way. Calls share one look. */
  look(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  #schedule(): void {
    if (this.#stopped) return;
    const waitMs = this.#frozen === undefined ? limits.rebuildPollMs : limits.cutOverPollMs;
    this.#timer = this.#world.env.after(waitMs, () => void this.#turn(), { upkeep: this.#frozen === undefined });
  }
  async #turn(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      if (!mayPass(error)) return this.#world.fail(error);
    }
    this.#schedule();
  }

  async #look(): Promise<boolean> {
    if (this.#stopped) return false;
    await this.#serve();
    const generations = [...this.#served.values()];
    const filling = generations.find(({ generation }) => !generation.live);
    if (filling === undefined) return false;
    try {
      await this.#advance(filling);
    } catch (error) {
      // Another process was quicker, or the live generation has moved: the next look sees what is.
      if (!hasCode(error, "CONFLICT") && !hasCode(error, "NOT_FOUND")) throw error;
      this.#frozen = undefined;
    }
    return true;
  }

  // ── which generations are worked on here ──
  async #serve(): Promise<void> {
    const wanted = await this.#generations();
    if (this.#stopped) return;
    for (const [sub, { runner }] of this.#served) {
      if (wanted.some((one) => one.sub === sub)) continue;
      this.#served.delete(sub);
      this.#world.shut(runner);
    }
    for (const generation of wanted) await this.#open(generation);
  }
  async #open(generation: Generation): Promise<void> {
    const known = this.#served.get(generation.sub);
    if (known === undefined) {
      const spec = specOfGeneration(this.#world.ledger, this.spec, generation);
      let enrolment: Enrolment;
      try {
        enrolment = await enrol(this.#world.log, this.#world.ledger, spec, { sub: generation.sub });
      } catch (error) {
        if (hasCode(error, "NOT_FOUND")) return;
        throw error;
      }
      if (this.#stopped) return;
      const runner = this.#world.open(spec, enrolment);
      runner.isRebuild = !generation.live;
      this.#served.set(generation.sub, { runner, generation });
      return;
    }
    if (generation.live && !known.generation.live)
      this.#world.logger.info(`${this.spec.name}: the views show generation ${generation.generation}`, {});
    known.generation = generation;
    known.runner.isRebuild = !generation.live;
  }

  /** Those that this code can work on; makes the one that is missing. */
  async #generations(): Promise<readonly Generation[]> {
    for (let after = -1; ;) {
      const all = await this.#all();
      const newest = all.at(-1)?.generation ?? 0;
      if (!this.#isMissing(all)) return this.#mine(all);
      // It was refused for another reason than that somebody else was quicker.
      try {
        await this.#make(newest);
      } catch (error) {
        if (!hasCode(error, "CONFLICT") || after === newest) throw error;
        after = newest;
      }
    }
  }
  async #all(): Promise<readonly Generation[]> {
    return (await this.#world.ledger.projections()).filter((one) => one.name === this.spec.name);
  }
  #isMissing(all: readonly Generation[]): boolean {
    const { version } = this.spec.projection;
    const live = all.find((one) => one.live);
    const filling = all.find((one) => !one.live);
    if (live === undefined) return true;
    if (filling !== undefined) return filling.version < version;
    return live.version < version || (live.version === version && live.wanted > live.generation);
  }
  #mine(all: readonly Generation[]): readonly Generation[] {
    const { version } = this.spec.projection;
    const mine = all.filter((one) => one.version === version);
    for (const { shape, generation } of mine) if (shape !== this.#shape) throw this.#changed(generation);
    const newer = all.find((one) => one.version > version);
    this.#tellOnce(
      mine.length > 0 || newer === undefined
        ? ""
        : `${this.spec.name}: its tables are of version ${newer.version}, and this code is version ${version}: it is left to newer code. To go back, raise \`version\`.`,
    );
    return mine;
  }
  #changed(generation: number): FactlogError {
    const { name, projection } = this.spec;
    return new FactlogError(
      "INVALID_DEFINITION",
      `${name}: its \`create\` has changed, and its version is still ${projection.version}, of which there are tables (generation ${generation}): raise \`version\`.`,
      { details: { subscription: name, version: projection.version } },
    );
  }
  #tellOnce(message: string): void {
    if (message !== "" && message !== this.#told) this.#world.logger.warn(message, {});
    this.#told = message;
  }

  async #make(after: number): Promise<void> {
    const { name, projection } = this.spec;
    const { ledger, logger } = this.#world;
    const names = namesIn(ledger, projection, after + 1, "create");
    try {
      await ledger.generation({
        kind: "begin",
        name,
        after,
        version: projection.version,
        tables: projection.tables,
        shape: this.#shape,
        create: projection.create(names),
        definition: definitionOfSpec(this.spec),
      });
    } catch (error) {
      if (error instanceof FactlogError) throw error;
      const text = error instanceof Error ? error.message : String(error);
      throw new FactlogError("INVALID_DEFINITION", `${name}: its \`create\` failed: ${text}. Nothing was made.`, {
        cause: error,
        details: { subscription: name },
      });
    }
    if (after > 0) logger.info(`${name}: generation ${after + 1} is being filled beside the live one`, {});
  }

  // ── the change-over ──
  async #advance({ runner, generation }: Served): Promise<void> {
    if (this.#stopped) return;
    const { ledger, env } = this.#world;
    const live = (await this.#all()).find((one) => one.live);
    if (live === undefined) return;
    if (this.#frozen === undefined) {
      const behind = lagOf(await this.#marks(live), await this.#reached(generation));
      if (behind > limits.cutOverLagMax || (await this.#hasRows(generation))) return;
      const seal = await ledger.generation({ kind: "freeze", name: live.name, generation: live.generation });
      this.#frozen = { seal, sinceMs: env.monotonic(), marks: await this.#marks(live) };
    }
    const { marks, seal, sinceMs } = this.#frozen;
    const behind = lagOf(marks, await this.#reached(generation));
    if (behind <= 0 && !(await this.#hasRows(generation))) {
      await ledger.generation({ kind: "cut over", name: live.name, generation: generation.generation, seal });
      this.#frozen = undefined;
      await this.#serve();
      return;
    }
    // What it has read is to be known at once, even where nothing matched.
    for (const slot of runner.slots.values()) if (!slot.leaving) runner.world.settler.urge(slot, runner);
    if (env.monotonic() - sinceMs < limits.frozenMaxMs) return;
    this.#frozen = undefined;
    await ledger.generation({ kind: "thaw", name: live.name });
  }
  /** Something of it waits for another attempt, or has died: it does not hold what the live one holds. */
  async #hasRows({ sub }: Generation): Promise<boolean> {
    for (const state of openStates) {
      const rows = await this.#world.ledger.deliveries({ kind: "state", state, sub, limit: 1 });
      if (rows.length > 0) return true;
    }
    return false;
  }
  /** Per slot, the highest position that the tables may hold. */
  async #marks(generation: Generation): Promise<ReadonlyMap<number, number>> {
    const states = await this.#world.ledger.load(await this.#slotsOf(generation));
    return new Map(
      states.map(({ slot, low, ranges, settled }) => [
        slot.slot,
        Math.max(low, ranges.at(-1)?.[1] ?? 0, settled.at(-1) ?? 0),
      ]),
    );
  }
  /** Per slot, the position up to which all is done, or has a row. */
  async #reached(generation: Generation): Promise<ReadonlyMap<number, number>> {
    const states = await this.#world.ledger.load(await this.#slotsOf(generation));
    return new Map(states.map(({ slot, low }) => [slot.slot, low]));
  }
  async #slotsOf({ sub, gen }: Generation): Promise<readonly SlotRef[]> {
    const tally = (await this.#world.ledger.tally()).find((one) => one.sub === sub);
    return (tally?.slots ?? []).map(({ slot }) => ({ sub, gen, slot }));
  }
}

const openStates: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];

/** How many positions the one is behind the other, at most. */
function lagOf(marks: ReadonlyMap<number, number>, reached: ReadonlyMap<number, number>): number {
  if (marks.size === reached.size)
    return Math.max(...[...marks].map(([slot, mark]) => mark - (reached.get(slot) ?? 0)));
  return Math.max(...marks.values()) - Math.min(...reached.values());
}

function namesIn(
  ledger: Ledger,
  { tables }: ProjectionSpec,
  generation: number,
  within: "create" | "use",
): ReadonlyMap<string, string> {
  return new Map(tables.map((table) => [table, ledger.tableName(table, generation, within)]));
}

/** As a subscription of its own, whose handler writes to the tables of this generation. */
function specOfGeneration(
  ledger: Ledger,
  spec: ProjectionSubscription,
  { generation, live }: Generation,
): SubscriptionSpec {
  const handler = spec.projection.handlerOn(namesIn(ledger, spec.projection, generation, "use"));
  return { ...spec, name: live ? spec.name : generationName(spec.name, generation), handler };
}

/** By which a `create` is known again: its text, with the plain names. */
function shapeOf({ name, projection }: ProjectionSubscription): string {
  const plain = new Map(projection.tables.map((table) => [table, table]));
  try {
    return JSON.stringify(projection.create(plain).map(({ text }) => text));
  } catch (error) {
    if (error instanceof FactlogError) throw error;
    throw new FactlogError("INVALID_DEFINITION", `${name}: its \`create\` threw ${String(error)}.`, { cause: error });
  }
}
