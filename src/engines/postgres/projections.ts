import { FactlogError } from "../../errors.ts";
import type { SqlStatement } from "../../engine/ledger.ts";
import { frozenSession, type Generation, type GenerationAct, generationName } from "../../engine/projections.ts";
import { Act, conflict, notThere } from "./command.ts";
import { Lost, type Run } from "./connection.ts";
import type { Client } from "./driver.ts";
import { asRefusal, guestOff, guestOn, requireAllowed, runGuest } from "./guest.ts";
import { codeOf, isLost, mayRunAgain, unknownOutcome } from "./postgres-error.ts";
import { inTransaction, type Store } from "./store.ts";

type Kind<K extends GenerationAct["kind"]> = Extract<GenerationAct, { kind: K }>;
type Row = readonly [string, number, number, string, string, boolean, number, number, number];

/** A reader that is at it holds the view: others are not kept waiting behind the change-over for longer. */
const viewLockMs = 500;
/** What `create` may begin with: its names are looked up in the log's own schema. */
const makes = /^\s*(create|insert)\b/iu;
/** PostgreSQL's word for a view that would change its columns. */
const otherColumns = "42P16";
/** It cannot be dropped: something of the user's stands on it. */
const hasDependents = "2BP01";

/** Generations of projections: their tables, views and subscriptions, in the log's schema. */
export class Projections {
  readonly #store: Store;
  readonly #slots: number;

  constructor(store: Store, slots: number) {
    this.#store = store;
    this.#slots = slots;
  }

  all(): Promise<readonly Generation[]> {
    return this.#store.read((run) => generations(this.#store, run));
  }

  /** In `create` the schema is the search path, since an index is not named with its schema. */
  tableName(table: string, generation: number, within: "create" | "use"): string {
    const name = physical(table, generation);
    return within === "create" ? name : `${this.#store.location.quoted}.${name}`;
  }

  async act(act: GenerationAct): Promise<number> {
    const store = this.#store;
    try {
      return await store.writes.run((run, client) =>
        inTransaction(run, "BEGIN", async () => {
          await run(store.sql("SELECT S.gate()"));
          await run(`SET LOCAL search_path TO ${store.location.quoted}, public`);
          await run(`SET LOCAL lock_timeout = ${viewLockMs}`);
          return new GenerationWriter(store, run, client, this.#slots).act(act);
        }),
      );
    } catch (error) {
      if (codeOf(error) === hasDependents)
        throw conflict(`${act.name}: another view stands on it: ${(error as Error).message}.`);
      throw error instanceof Lost ? unknownOutcome(error.cause, store.location) : store.error(error);
    }
  }

  async query({ text, values }: SqlStatement): Promise<readonly Record<string, unknown>[]> {
    const { location } = this.#store;
    const sql = text.map((piece, index) => (index === 0 ? piece : `$${index}${piece}`)).join("");
    requireAllowed("log.query", sql, location.schema);
    const given = values.map((value) => (value instanceof Date ? value.toISOString() : value));
    // What is wrong with the user's statement is no failure of the store.
    const answer = await this.#store.read((run, client) =>
      inTransaction(run, "BEGIN READ ONLY", async () => {
        await run(`SET LOCAL search_path TO ${location.quoted}, public`);
        try {
          return { rows: (await client.query({ text: sql, values: given, queryMode: "extended" })).rows };
        } catch (error) {
          if (isLost(error) || mayRunAgain(error)) throw error;
          return { error };
        }
      }),
    );
    if (!("error" in answer)) return answer.rows as readonly Record<string, unknown>[];
    if (codeOf(answer.error) !== readOnly) throw asRefusal("log.query", sql, answer.error);
    throw new FactlogError("NOT_SUPPORTED", `log.query only reads: ${sql.slice(0, 200)}`, { cause: answer.error });
  }
}
const readOnly = "25006";

const physical = (table: string, generation: number): string => `${table}__${generation}`;

/** One act, inside its transaction. */
class GenerationWriter {
  readonly #store: Store;
  readonly #run: Run;
  readonly #client: Client;
  readonly #commands: Act;

  constructor(store: Store, run: Run, client: Client, slots: number) {
    this.#store = store;
    this.#run = run;
    this.#client = client;
    this.#commands = new Act(store, run, slots);
  }

  async act(act: GenerationAct): Promise<number> {
    if (act.kind === "freeze") return this.#freeze((await this.#find(act, true)).sub);
    await this.#perform(act);
    return 0;
  }

  async #perform(act: Exclude<GenerationAct, { kind: "freeze" }>): Promise<void> {
    switch (act.kind) {
      case "begin":
        return this.#begin(act);
      case "thaw":
        return this.#thaw(act.name);
      case "cut over":
        return this.#cutOver(act);
      case "abandon":
        await this.#discard(await this.#find(act, false));
        return this.#thaw(act.name);
      case "forget":
        for (const generation of await this.#of(act.name)) {
          if (generation.live)
            for (const table of generation.tables) await this.#query(`DROP VIEW IF EXISTS ${this.#view(table)}`);
          await this.#discard(generation);
        }
        return;
      case "want": {
        const all = await this.#of(act.name);
        if (all.length === 0) throw notThere(`the projection ${act.name}`);
        if (all.some(({ live }) => !live)) throw conflict(`${act.name} is being rebuilt already.`);
        await this.#query(
          "UPDATE S.projection SET wanted = $2 WHERE name = $1 AND live",
          act.name,
          all[0]!.generation + 1,
        );
      }
    }
  }

  async #begin({ name, after, version, tables, shape, create, definition }: Kind<"begin">): Promise<void> {
    const known = await this.#of(name);
    if ((known.at(-1)?.generation ?? 0) !== after)
      throw conflict(`${name} has another newest generation than ${after}.`);
    const isFirst = known.length === 0;
    for (const generation of known) if (!generation.live) await this.#discard(generation);
    if (!isFirst) await this.#thaw(name);
    const next = after + 1;
    const shown = known.flatMap((one) => (one.live ? one.tables : []));
    const free = tables.filter((table) => !shown.includes(table));
    await this.#requireFree(name, [...free, ...tables.map((table) => physical(table, next))]);
    await this.#create(name, create);
    for (const table of tables) {
      if (await this.#isThere(physical(table, next))) continue;
      throw new FactlogError(
        "INVALID_DEFINITION",
        `${name}: create makes no table ${table}: sql\`create table \${tables.${table}} (...)\`.`,
      );
    }
    const subscription = isFirst ? name : generationName(name, next);
    const made = await this.#commands.define({
      kind: "define",
      name: subscription,
      definition,
      start: new Map(),
      baseline: new Map(),
    });
    if (!made.created) throw conflict(`there is a subscription ${subscription} already: take another name.`);
    await this.#query(
      "INSERT INTO S.projection(name, generation, version, tables, shape, live, wanted, sub) VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
      name,
      next,
      version,
      JSON.stringify(tables),
      shape,
      isFirst,
      made.sub,
    );
    if (isFirst)
      for (const table of tables) await this.#query(`CREATE VIEW ${this.#view(table)} AS ${this.#select(table, next)}`);
  }

  async #create(name: string, create: readonly SqlStatement[]): Promise<void> {
    await this.#query(guestOn);
    for (const statement of create) {
      if (!makes.test(statement.text[0] ?? ""))
        throw new FactlogError(
          "INVALID_DEFINITION",
          `${name}: create takes statements that create or insert, not: ${statement.text.join("?").slice(0, 200)}`,
        );
      try {
        await runGuest(this.#client, statement, this.#store.location.schema);
      } catch (error) {
        if (isLost(error) || mayRunAgain(error) || error instanceof FactlogError) throw error;
        const text = error instanceof Error ? error.message : String(error);
        throw new FactlogError("INVALID_DEFINITION", `${name}: its \`create\` failed: ${text}. Nothing was made.`, {
          cause: error,
          details: { subscription: name },
        });
      }
    }
    await this.#client.query(guestOff);
  }

  async #requireFree(name: string, wanted: readonly string[]): Promise<void> {
    for (const one of wanted) {
      if (!(await this.#isThere(one))) continue;
      throw conflict(`${name}: a table or view ${one} is there already: take another name, or drop it.`);
    }
  }
  async #isThere(relation: string): Promise<boolean> {
    const text =
      "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = $1 AND n.nspname = $2";
    return (await this.#query(text, relation, this.#store.location.schema)).length > 0;
  }

  /** Tokens only grow: their sum is the seal. */
  async #freeze(sub: number): Promise<number> {
    await this.#query("SELECT 1 FROM S.slot WHERE sub = $1 ORDER BY sub, gen, slot FOR UPDATE", sub);
    await this.#query(
      `UPDATE S.slot SET session = ${frozenSession}, token = token + 1 WHERE sub = $1 AND session IS DISTINCT FROM ${frozenSession}`,
      sub,
    );
    return (await this.#seal(sub)).seal;
  }
  async #seal(sub: number): Promise<{ readonly seal: number; readonly moving: number }> {
    const text = `SELECT sum(token)::bigint, count(*) FILTER (WHERE session IS DISTINCT FROM ${frozenSession}) FROM S.slot WHERE sub = $1`;
    const [row] = await this.#query(text, sub);
    return { seal: row![0] as number, moving: row![1] as number };
  }
  async #thaw(name: string): Promise<void> {
    await this.#query(
      `UPDATE S.slot SET session = NULL, token = token + 1, claim = low
       WHERE session = ${frozenSession} AND sub IN (SELECT sub FROM S.projection WHERE name = $1 AND live)`,
      name,
    );
  }

  async #cutOver(act: Kind<"cut over">): Promise<void> {
    const next = await this.#find(act, false);
    const live = (await this.#of(act.name)).find((one) => one.live)!;
    await this.#query("SELECT 1 FROM S.slot WHERE sub = $1 ORDER BY sub, gen, slot FOR UPDATE", live.sub);
    const { seal, moving } = await this.#seal(live.sub);
    if (moving > 0 || seal !== act.seal) throw conflict(`${act.name} is not frozen as it was.`);
    await this.#requireFree(
      act.name,
      next.tables.filter((table) => !live.tables.includes(table)),
    );
    for (const table of live.tables)
      if (!next.tables.includes(table)) await this.#query(`DROP VIEW ${this.#view(table)}`);
    for (const table of next.tables) await this.#show(table, next.generation);
    await this.#discard(live);
    await this.#query("UPDATE S.subscription SET name = $1 WHERE id = $2", act.name, next.sub);
    await this.#query(
      "UPDATE S.projection SET live = true WHERE name = $1 AND generation = $2",
      act.name,
      next.generation,
    );
  }

  /** A view with the same columns is replaced, and stays what others have prepared; else it is made anew. */
  async #show(table: string, generation: number): Promise<void> {
    const view = this.#view(table);
    await this.#run("SAVEPOINT view");
    try {
      await this.#query(`CREATE OR REPLACE VIEW ${view} AS ${this.#select(table, generation)}`);
    } catch (error) {
      if (codeOf(error) !== otherColumns) throw error;
      await this.#run("ROLLBACK TO SAVEPOINT view");
      await this.#query(`DROP VIEW ${view}`);
      await this.#query(`CREATE VIEW ${view} AS ${this.#select(table, generation)}`);
    }
    await this.#run("RELEASE SAVEPOINT view");
  }
  #view(table: string): string {
    return `${this.#store.location.quoted}.${table}`;
  }
  #select(table: string, generation: number): string {
    return `SELECT * FROM ${this.#view(physical(table, generation))}`;
  }

  async #discard({ name, generation, tables, sub }: Generation): Promise<void> {
    await this.#query("DELETE FROM S.projection WHERE name = $1 AND generation = $2", name, generation);
    for (const table of tables) await this.#query(`DROP TABLE IF EXISTS ${this.#view(physical(table, generation))}`);
    await this.#commands.remove(sub);
  }

  async #of(name: string): Promise<readonly Generation[]> {
    return (await generations(this.#store, this.#run)).filter((one) => one.name === name);
  }
  async #find(
    { name, generation }: { readonly name: string; readonly generation: number },
    live: boolean,
  ): Promise<Generation> {
    const found = (await this.#of(name)).find((one) => one.generation === generation && one.live === live);
    if (found === undefined)
      throw notThere(`the generation ${generation} of ${name} that is ${live ? "live" : "being filled"}`);
    return found;
  }
  #query(text: string, ...values: readonly unknown[]): Promise<readonly (readonly unknown[])[]> {
    return this.#run(this.#store.sql(text), values);
  }
}

async function generations(store: Store, run: Run): Promise<readonly Generation[]> {
  const rows = await run<Row>(
    store.sql(
      `SELECT p.name, p.generation, p.version, p.tables, p.shape, p.live, p.wanted, p.sub, coalesce(s.gen, 1)
       FROM S.projection p LEFT JOIN S.subscription s ON s.id = p.sub ORDER BY p.name, p.generation`,
    ),
  );
  return rows.map(([name, generation, version, tables, shape, live, wanted, sub, gen]) => ({
    name,
    generation,
    version,
    tables: JSON.parse(tables) as string[],
    shape,
    live,
    wanted,
    sub,
    gen,
  }));
}
