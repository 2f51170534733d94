import { FactlogError } from "../errors.ts";

/**
 * A database in which a handler's own writes commit together with the settle of its delivery. Made by `pgStore()` and its
 * like; opaque. `Tx` is what `ctx.tx` is; `Mode` says whether its transaction may be held over an await.
 */
export interface Store<Tx = unknown, Mode extends "sync" | "async" = "sync" | "async"> {
  readonly mode: Mode;
  /** Never there: it carries the type. */
  readonly __tx?: (tx: Tx) => Tx;
}
// oxlint-disable-next-line typescript/no-explicit-any -- a store of any transaction
export type AnyStore = Store<any, any>;
export type TxOf<St> = St extends Store<infer Tx, "sync" | "async"> ? Tx : never;
/**
 * What a handler may give back. On a synchronous store no promise: its transaction ends with the handler. (A type of
 * `() => void` would accept one, this does not.)
 */
export type HandlerResult<St> = [St] extends [never]
  ? unknown
  : // oxlint-disable-next-line typescript/no-explicit-any -- a store of any transaction
    [St] extends [Store<any, "sync">]
    ? void | null | boolean | number | string | bigint | (object & { readonly then?: never })
    : unknown;

/** How a store comes by its transactions. Internal: what a ledger and the maker of a store agree on. */
export interface TransactionSource {
  /** Who made it, for messages. */
  readonly name: string;
  readonly dialect: "postgres" | "sqlite" | "memory";
  /** "sync": the transaction ends when the handler returns, so that it must not return a promise. */
  readonly mode: "sync" | "async";
  /** "ours": `run` lends a connection, and the ledger begins and ends. "theirs": `run` itself begins, commits, rolls back. */
  readonly control: "ours" | "theirs";
  /** Absent: on connections of the ledger's own. */
  readonly run?: <T>(work: (connection: TransactionConnection) => Promise<T>) => Promise<T>;
}
export interface TransactionConnection {
  /** What the handler gets; with control "ours" a client of `pg`. */
  readonly tx: unknown;
  /** One statement of ours on it; rows as objects. */
  execute(text: string): Promise<readonly object[]>;
}

/** Registered, so that a store of another copy of the package is understood. */
const sourceKey: unique symbol = Symbol.for("factlog.store");

export function storeOf<Tx, Mode extends "sync" | "async" = "async">(
  source: TransactionSource & { readonly mode: Mode },
): Store<Tx, Mode> {
  return Object.freeze(Object.defineProperty({ mode: source.mode }, sourceKey, { value: source }));
}

/** Throws INVALID_DEFINITION where `store` was made by none of ours. */
export function sourceOf(store: unknown): TransactionSource {
  const source = (store as Partial<{ readonly [sourceKey]: TransactionSource }> | null | undefined)?.[sourceKey];
  if (source !== undefined) return source;
  throw new FactlogError(
    "INVALID_DEFINITION",
    "this is no store: give sqliteStore(), pgStore(pool), drizzleStore(db) or kyselyStore(db).",
  );
}
