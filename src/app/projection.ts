import { isAsyncFunction } from "node:util/types";
import type { RetryPolicy } from "../delivery/retry-policy.ts";
import { FactlogError } from "../errors.ts";
import type { AnyEventType, EventOf } from "../event/define.ts";
import { limits } from "../limits.ts";
import type { HandlerContext, TransactionContext } from "./context.ts";
import { plainSql, type Statement } from "./sql.ts";
import type { AnyStore, HandlerResult, TxOf } from "./store.ts";
import {
  type AnyOptions,
  type ProjectionSpec,
  refusal,
  resolve,
  type Subscription,
  subscriptionOf,
} from "./subscription.ts";

/**
 * What each declared table is called: put it into `sql`. Each generation has tables of its own; a VIEW of the plain name
 * shows the current one, so that queries never change at a rebuild.
 */
export type Tables<N extends string> = { readonly [K in N]: Statement };

export interface ProjectionOptions<On extends AnyEventType, N extends string, St> {
  readonly on: On | readonly On[];
  /** A whole number from 1. Raise it with every change of `create` or of what is written: the tables are then rebuilt. */
  readonly version: number;
  /** Names of the views: `[a-z_][a-z0-9_]*`, at most 48 characters, not beginning with `factlog_`. */
  readonly tables: readonly N[];
  /** Gives `ctx.tx`, of the log's own database. Not given: `ctx.write` alone. */
  readonly store?: St;
  /** As for subscriptions; after it the projection stops until its dead letter is redriven or discarded. */
  readonly retry?: RetryPolicy;
  /** "key" (default): events of one key one after the other. "log": one after the other over the whole log. */
  readonly order?: "key" | "log";
  /**
   * sql`create table ${tables.orders} (...)`, statement by statement. Names of indexes are made from the table's, since
   * two generations stand side by side: sql`create index ${tables.orders}_by_day on ${tables.orders} (day)`.
   */
  readonly create: (tables: Tables<N>) => readonly Statement[];
  /** For people. */
  readonly description?: string;
}

export interface ProjectionContext<N extends string> {
  readonly tables: Tables<N>;
  /** Queued, in order, committed with the cursor. NOT_SUPPORTED with `store`: use `ctx.tx`. */
  write(statement: Statement): void;
}

export interface Projection<Name extends string = string> extends Subscription<Name> {
  readonly kind: "projection";
}

const optionNames = new Set("on version tables store retry order create description".split(" "));
const tablePattern = /^[a-z_][a-z0-9_]*$/;

/**
 * A read model: tables that are filled from the beginning of the log, in one commit with the projection's progress, and
 * rebuilt beside the ones in use where `version` grows. `apply` is synchronous. A pure value: defining opens nothing.
 * Throws INVALID_DEFINITION naming the option, INVALID_ATTRIBUTE on a bad name.
 */
export function defineProjection<
  const Name extends string,
  On extends AnyEventType,
  const N extends string,
  St extends AnyStore = never,
>(
  name: Name,
  options: ProjectionOptions<On, N, St>,
  apply: (
    event: EventOf<On>,
    ctx: ProjectionContext<N> & ([St] extends [never] ? unknown : TransactionContext<TxOf<St>>),
  ) => [St] extends [never] ? void : HandlerResult<St>,
): Projection<Name> {
  if (typeof options !== "object" || options === null)
    throw refusal(name, "options", options, "give { on, version, tables, create }");
  for (const option of Object.keys(options)) {
    if (!optionNames.has(option))
      throw refusal(name, option, "given", `it is no option; choose among ${[...optionNames].join(", ")}`);
  }
  const given = options as unknown as ProjectionOptions<AnyEventType, string, AnyStore>;
  const { on, store, retry, order, description } = given;
  const projection = projectionOf(name, given, apply as unknown as Apply);
  const base = {
    on,
    order: orderOf(name, order),
    onExhausted: "stop" as const,
    outage: false,
    from: "beginning" as const,
    ...(store === undefined ? {} : { store }),
    ...(retry === undefined ? {} : { retry }),
    ...(description === undefined ? {} : { description }),
  };
  const spec = resolve(name, base as AnyOptions, apply as unknown as Parameters<typeof resolve>[2]);
  if (store === undefined && isAsyncFunction(apply))
    throw refusal(
      name,
      "apply",
      apply,
      "it is async: a projection follows from its events alone, so make it synchronous",
    );
  return subscriptionOf(
    name,
    "projection",
    Object.freeze({ ...spec, kind: "projection", projection, takesTurns: false }),
  );
}

type Apply = (event: unknown, ctx: ProjectionContext<string>) => unknown;

function orderOf(name: string, order: unknown): "key" | "log" {
  if (order === undefined || order === "key" || order === "log") return order ?? "key";
  throw refusal(name, "order", order, 'choose among "key", "log"');
}

function projectionOf(
  name: string,
  { version, tables, create, store }: ProjectionOptions<AnyEventType, string, AnyStore>,
  apply: Apply,
): ProjectionSpec {
  if (!Number.isSafeInteger(version) || version < 1)
    throw refusal(name, "version", version, "give a whole number from 1");
  if (typeof create !== "function") throw refusal(name, "create", create, "give a function of (tables)");
  const names = tablesOf(name, tables);
  return Object.freeze({
    version,
    tables: names,
    create: (physical: ReadonlyMap<string, string>) => statementsOf(name, create(tablesAs(physical))),
    handlerOn: (physical: ReadonlyMap<string, string>) => {
      const shown = tablesAs(physical);
      return (event: unknown, ctx: HandlerContext): unknown =>
        synchronous(name, store, apply(event, contextOn(ctx, shown, store)));
    },
  });
}

function tablesOf(name: string, tables: unknown): readonly string[] {
  if (!Array.isArray(tables) || tables.length === 0) throw refusal(name, "tables", tables, "name at least one table");
  for (const table of tables as readonly unknown[]) {
    const isGood =
      typeof table === "string" &&
      tablePattern.test(table) &&
      table.length <= limits.tableNameMax &&
      !table.startsWith("factlog_");
    if (isGood) continue;
    throw new FactlogError(
      "INVALID_ATTRIBUTE",
      `${name}: a table named ${JSON.stringify(table)}: give lower-case letters, digits and underscores, no digit first, at most ${limits.tableNameMax}, not beginning with factlog_.`,
      { details: { subscription: name, table } },
    );
  }
  const twice = tables.find((table, index) => tables.indexOf(table) !== index) as string | undefined;
  if (twice !== undefined) throw refusal(name, "tables", twice, "it is named twice");
  return Object.freeze([...(tables as readonly string[])]);
}

function tablesAs(physical: ReadonlyMap<string, string>): Tables<string> {
  return Object.freeze(Object.fromEntries([...physical].map(([table, text]) => [table, plainSql(text)])));
}

function statementsOf(name: string, statements: unknown): readonly Statement[] {
  if (!Array.isArray(statements)) throw refusal(name, "create", statements, "let it return a list of sql`...`");
  for (const statement of statements as readonly unknown[]) {
    if (!Array.isArray((statement as Partial<Statement> | null)?.text))
      throw refusal(name, "create", statement, "let it return a list of sql`...`");
  }
  return statements as readonly Statement[];
}

/** A context of its own for each event: `ctx.tx` is the transaction of that delivery. */
function contextOn(
  ctx: HandlerContext,
  tables: Tables<string>,
  store: AnyStore | undefined,
): ProjectionContext<string> {
  const write = (statement: Statement): void => ctx.write(statement);
  if (store === undefined) return { tables, write };
  return {
    tables,
    write,
    get tx(): unknown {
      return (ctx as unknown as TransactionContext<unknown>).tx;
    },
  } as ProjectionContext<string>;
}

/** Without a store nothing may be waited for: what it wrote after that would be lost, or come too late. */
function synchronous(name: string, store: AnyStore | undefined, result: unknown): unknown {
  const isPromise = typeof result === "object" && result !== null && "then" in result;
  if (store !== undefined || !isPromise) return result;
  (result as PromiseLike<unknown>).then(undefined, () => undefined);
  throw new FactlogError(
    "HANDLER_ASYNC",
    `${name} returned a promise: a projection follows from its events alone, so make it synchronous.`,
  );
}
