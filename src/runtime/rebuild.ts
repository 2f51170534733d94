import type { Engine } from "../engine/engine.ts";
import type { Generation } from "../engine/projections.ts";
import type { Env } from "../env.ts";
import { FactlogError, hasCode } from "../errors.ts";
import { auditEvent } from "./audit.ts";

/** A generation of a projection's tables. */
export interface ProjectionStatus {
  readonly name: string;
  readonly generation: number;
  readonly version: number;
  readonly tables: readonly string[];
  /** "live": the views show it. "filling": it is on its way to take their place. */
  readonly state: "live" | "filling";
  /** An operator has asked for a new generation, and no worker has begun it yet. */
  readonly rebuildWanted: boolean;
  /** Events that it has applied, and those of its types that are in the log. */
  readonly applied: number;
  readonly events: number;
}

export async function projectionsOf({ log, ledger }: Engine): Promise<readonly ProjectionStatus[]> {
  const generations = await ledger.projections();
  if (generations.length === 0) return [];
  const tallies = new Map((await ledger.tally()).map((each) => [each.sub, each]));
  const { appended } = await log.count([...new Set([...tallies.values()].flatMap((each) => each.definition.types))]);
  return generations.map((one): ProjectionStatus => {
    const tally = tallies.get(one.sub);
    const closed = (tally?.slots ?? []).flatMap(({ outcomes }) => Object.values(outcomes));
    return {
      name: one.name,
      generation: one.generation,
      version: one.version,
      tables: one.tables,
      state: one.live ? "live" : "filling",
      rebuildWanted: one.live && one.wanted > newestOf(generations, one.name),
      applied: closed.reduce((sum, each) => sum + each, 0),
      events: (tally?.definition.types ?? []).reduce((sum, type) => sum + (appended.get(type) ?? 0), 0),
    };
  });
}
const newestOf = (generations: readonly Generation[], name: string): number =>
  Math.max(...generations.filter((one) => one.name === name).map((one) => one.generation));

/** Asks for a new generation; gives its number. A worker of the projection begins it. */
export async function wantRebuild(env: Env, { log, ledger }: Engine, source: string, name: string): Promise<number> {
  await ledger.generation({ kind: "want", name });
  await log.append([auditEvent(env, source, "rebuild", { subscription: name })]);
  return (
    1 +
    Math.max(
      0,
      ...(await ledger.projections()).filter((one) => one.name === name && one.live).map((one) => one.generation),
    )
  );
}

/** A projection is more than its subscription: `retire` first gives up what is being filled, then lets the tables go too. */
export async function retireProjection(
  { ledger }: Engine,
  name: string,
  retire: () => Promise<unknown>,
): Promise<void> {
  try {
    await retire();
  } catch (error) {
    // An earlier call did this, and no more.
    if (!hasCode(error, "NOT_FOUND")) throw error;
  }
  await ledger.generation({ kind: "forget", name });
}

export function requireNoProjection(generations: readonly Generation[], name: string): void {
  if (!generations.some((one) => one.name === name)) return;
  throw new FactlogError(
    "NOT_SUPPORTED",
    `${name} is a projection, whose tables go with its name: define another under the new name, and retire this one.`,
  );
}
