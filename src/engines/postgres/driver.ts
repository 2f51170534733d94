import { FactlogError } from "../../errors.ts";

/** The part of `pg` that is used, by structure: its types appear in nobody's declarations. */
export interface Driver {
  readonly Client: new (config: ClientConfig) => Client;
  readonly Pool: new (config: ClientConfig) => Pool;
}

export interface ClientConfig {
  readonly connectionString?: string;
  readonly host?: string;
  readonly port?: number;
  readonly user?: string;
  readonly database?: string;
  readonly [option: string]: unknown;
}

export interface Query {
  readonly text: string;
  readonly values?: readonly unknown[];
  /** Prepared once per connection under this name. */
  readonly name?: string;
  readonly rowMode?: "array";
  /** Refuses several statements in one text. */
  readonly queryMode?: "extended";
}

export interface Answer {
  readonly rows: readonly unknown[];
  readonly rowCount: number | null;
}

export interface Notification {
  readonly channel: string;
  readonly payload?: string | undefined;
}

export interface Client {
  readonly processID: number | null;
  connect(): Promise<unknown>;
  query(query: Query | string): Promise<Answer>;
  on(event: "error", heard: (error: Error) => void): unknown;
  on(event: "end", heard: () => void): unknown;
  on(event: "notification", heard: (message: Notification) => void): unknown;
  end(): Promise<void>;
}

export interface Pool {
  connect(): Promise<PoolClient>;
  on(event: "error", heard: (error: Error) => void): unknown;
  end(): Promise<void>;
}
export interface PoolClient {
  query(query: Query | string): Promise<Answer>;
  on(event: "error", heard: (error: Error) => void): unknown;
  removeListener(event: "error", heard: (error: Error) => void): unknown;
  /** `destroy`: the connection is closed, and not lent again. */
  release(destroy?: boolean): void;
}

/** Numbers as numbers: `pg` gives int8 as text, since it may be beyond 2^53; ours never is. */
export const types = {
  getTypeParser: (oid: number) => parsers.get(oid) ?? asText,
};
const asText = (text: string): string => text;
const asNumber = (text: string): number => {
  const number = Number(text);
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw new FactlogError("ASSERTION", `impossible state: ${text} is no exact number. Please report it.`);
  }
  return number;
};
/** int2, int4, int8, oid; float8; bool. */
const parsers = new Map<number, (text: string) => unknown>([
  [20, asNumber],
  [21, asNumber],
  [23, asNumber],
  [26, asNumber],
  [701, Number],
  [16, (text) => text === "t"],
]);

/** Loads the driver when it is first needed. Throws DRIVER_MISSING. */
export async function loadDriver(load: () => Promise<unknown> = importDriver): Promise<Driver> {
  try {
    const module = (await load()) as Partial<Driver> & { readonly default?: Driver };
    const driver = module.default ?? module;
    if (typeof driver.Client === "function") return driver as Driver;
    throw new Error("it has no Client");
  } catch (error) {
    throw new FactlogError(
      "DRIVER_MISSING",
      "PostgreSQL needs the driver pg, which could not be loaded: npm install pg (version 8.16 or newer).",
      { cause: error, details: { package: "pg" } },
    );
  }
}

/** By a name that no compiler looks up: the driver is optional. */
const packageName: string = "pg";
const importDriver = (): Promise<unknown> => import(packageName);
