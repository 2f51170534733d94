import { FactlogError } from "../../errors.ts";
import type { SqlStatement } from "../../engine/ledger.ts";
import { frozenSession, type Generation, type GenerationAct, generationName } from "../../engine/projections.ts";
import { type Commands, conflict, notThere } from "./command.ts";
import type { Database } from "./database.ts";

type Act<Kind extends GenerationAct["kind"]> = Extract<GenerationAct, { kind: Kind }>;
type Cells = readonly [
  name: string,
  generation: number,
  version: number,
  tables: string,
  shape: string,
  live: number,
  wanted: number,
  sub: number,
  gen: number,
];

const columns = "p.name, p.generation, p.version, p.tables, p.shape, p.live, p.wanted, p.sub, coalesce(s.gen, 1)";
const from = "FROM factlog_projection p LEFT JOIN factlog_subscription s ON s.id = p.sub";

export const tableName = (table: string, generation: number): string => `${table}__${generation}`;

/** Generations of projections: their tables, views and subscriptions. Acts run inside the open transaction. */
export class Projections {
  readonly #db: Database;
  readonly #commands: Commands;
  readonly #sql;

  constructor(db: Database, commands: Commands) {
    this.#db = db;
    this.#commands = commands;
    this.#sql = {
      all: db.prepare<Cells>(`SELECT ${columns} ${from} ORDER BY p.name, p.generation`),
      of: db.prepare<Cells>(`SELECT ${columns} ${from} WHERE p.name = ? ORDER BY p.generation`),
      there: db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE"),
      add: db.prepare(
        "INSERT INTO factlog_projection(name, generation, version, tables, shape, live, wanted, sub) VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
      ),
      drop: db.prepare("DELETE FROM factlog_projection WHERE name = ? AND generation = ?"),
      makeLive: db.prepare("UPDATE factlog_projection SET live = 1 WHERE name = ? AND generation = ?"),
      want: db.prepare("UPDATE factlog_projection SET wanted = ? WHERE name = ? AND live = 1"),
      rename: db.prepare("UPDATE factlog_subscription SET name = ? WHERE id = ?"),
      freeze: db.prepare(
        `UPDATE factlog_slot SET session = ${frozenSession}, token = token + 1 WHERE sub = ? AND session IS NOT ${frozenSession}`,
      ),
      thaw: db.prepare(
        `UPDATE factlog_slot SET session = NULL, token = token + 1, claim = low WHERE sub = ? AND session = ${frozenSession}`,
      ),
      seal: db.prepare<[number, number]>(
        `SELECT sum(token), sum(session IS NOT ${frozenSession}) FROM factlog_slot WHERE sub = ?`,
      ),
    };
  }

  all(): readonly Generation[] {
    return this.#sql.all.all().map(toGeneration);
  }

  act(act: GenerationAct): number {
    if (act.kind === "freeze") return this.#freeze(this.#live(act).sub);
    this.#perform(act);
    return 0;
  }

  #perform(act: Exclude<GenerationAct, { kind: "freeze" }>): void {
    switch (act.kind) {
      case "begin":
        return this.#begin(act);
      case "thaw":
        return this.#thaw(act.name);
      case "cut over":
        return this.#cutOver(act);
      case "abandon": {
        this.#discard(this.#filling(act));
        return this.#thaw(act.name);
      }
      case "forget":
        for (const generation of this.#of(act.name)) {
          if (generation.live) this.#hide(generation.tables);
          this.#discard(generation);
        }
        return;
      case "want": {
        const all = this.#of(act.name);
        if (all.length === 0) throw notThere(`the projection ${act.name}`);
        if (all.some(({ live }) => !live)) throw conflict(`${act.name} is being rebuilt already.`);
        return void this.#sql.want.run(all[0]!.generation + 1, act.name);
      }
    }
  }

  query({ text, values }: SqlStatement): readonly Record<string, unknown>[] {
    return this.#db.queryForeign("log.query", text.join("?"), values);
  }

  #begin({ name, after, version, tables, shape, create, definition }: Act<"begin">): void {
    const known = this.#of(name);
    if ((known.at(-1)?.generation ?? 0) !== after)
      throw conflict(`${name} has another newest generation than ${after}.`);
    const isFirst = known.length === 0;
    for (const generation of known) if (!generation.live) this.#discard(generation);
    if (!isFirst) this.#thaw(name);
    const next = after + 1;
    this.#requireFree(name, tables, next, isFirst ? [] : known.flatMap((one) => (one.live ? one.tables : [])));
    for (const statement of create) this.#db.runForeign("create", statement.text.join("?"), statement.values);
    for (const table of tables) {
      if (this.#isThere(tableName(table, next))) continue;
      throw new FactlogError(
        "INVALID_DEFINITION",
        `${name}: create makes no table ${table}: sql\`create table \${tables.${table}} (...)\`.`,
      );
    }
    const subscription = isFirst ? name : generationName(name, next);
    const made = this.#commands.run({
      kind: "define",
      name: subscription,
      definition,
      start: new Map(),
      baseline: new Map(),
    });
    if (!made.created) throw conflict(`there is a subscription ${subscription} already: take another name.`);
    this.#sql.add.run(name, next, version, JSON.stringify(tables), shape, isFirst ? 1 : 0, made.sub);
    if (isFirst) this.#show(tables, next);
  }

  /** Nobody else's table or view bears one of the names. `shown`: names that are this projection's views already. */
  #requireFree(name: string, tables: readonly string[], generation: number, shown: readonly string[]): void {
    const wanted = [
      ...tables.filter((table) => !shown.includes(table)),
      ...tables.map((table) => tableName(table, generation)),
    ];
    const taken = wanted.find((one) => this.#isThere(one));
    if (taken === undefined) return;
    throw conflict(`${name}: a table or view ${taken} is there already: take another name, or drop it.`);
  }
  #isThere(name: string): boolean {
    return this.#sql.there.get(name) !== undefined;
  }

  #cutOver(act: Act<"cut over">): void {
    const next = this.#filling(act);
    const live = this.#of(act.name).find((one) => one.live)!;
    const [seal, moving] = this.#sql.seal.get(live.sub)!;
    if (moving > 0 || seal !== act.seal) throw conflict(`${act.name} is not frozen as it was.`);
    this.#requireFree(
      act.name,
      next.tables.filter((table) => !live.tables.includes(table)),
      0,
      [],
    );
    this.#hide(live.tables);
    this.#show(next.tables, next.generation);
    this.#discard(live);
    this.#sql.rename.run(act.name, next.sub);
    this.#sql.makeLive.run(act.name, next.generation);
  }

  /** Tokens only grow: their sum is the seal. */
  #freeze(sub: number): number {
    this.#sql.freeze.run(sub);
    return this.#sql.seal.get(sub)![0];
  }
  #show(tables: readonly string[], generation: number): void {
    for (const table of tables) this.#db.exec(`CREATE VIEW ${table} AS SELECT * FROM ${tableName(table, generation)}`);
  }

  #hide(tables: readonly string[]): void {
    for (const table of tables) this.#db.exec(`DROP VIEW IF EXISTS ${table}`);
  }

  #discard({ name, generation, tables, sub }: Generation): void {
    this.#sql.drop.run(name, generation);
    for (const table of tables) this.#db.exec(`DROP TABLE IF EXISTS ${tableName(table, generation)}`);
    this.#commands.remove(sub);
  }
  #thaw(name: string): void {
    const live = this.#of(name).find((one) => one.live);
    if (live !== undefined) this.#sql.thaw.run(live.sub);
  }

  #of(name: string): readonly Generation[] {
    return this.#sql.of.all(name).map(toGeneration);
  }
  #live({ name, generation }: { readonly name: string; readonly generation: number }): Generation {
    const found = this.#of(name).find((one) => one.generation === generation && one.live);
    if (found === undefined) throw notThere(`the live generation ${generation} of ${name}`);
    return found;
  }
  #filling({ name, generation }: { readonly name: string; readonly generation: number }): Generation {
    const found = this.#of(name).find((one) => one.generation === generation && !one.live);
    if (found === undefined) throw notThere(`the generation ${generation} of ${name} that is being filled`);
    return found;
  }
}

function toGeneration([name, generation, version, tables, shape, live, wanted, sub, gen]: Cells): Generation {
  return {
    name,
    generation,
    version,
    tables: JSON.parse(tables) as string[],
    shape,
    live: live === 1,
    wanted,
    sub,
    gen,
  };
}
