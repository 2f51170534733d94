import { FactlogError } from "../../errors.ts";
import type { ClientConfig } from "./driver.ts";

/** Where a log is: a database, and a schema of its own in it. */
export interface Location {
  /** How the driver gets there. May hold a password. */
  readonly client: ClientConfig;
  readonly schema: string;
  /** The schema's name as SQL. */
  readonly quoted: string;
  /** For people: never with a password. */
  readonly shown: string;
}

export const defaultSchema = "factlog";
/** A name that needs no quoting elsewhere either, and leaves room for what is built from it. */
const schemaName = /^[a-z_][a-z0-9_]{0,47}$/u;

/** Reads "postgres://user@host/database?schema=factlog"; every other parameter is the driver's. */
export function parseLocation(url: string, schemaOption?: string): Location {
  const parsed = parseUrl(url);
  const schema = schemaOption ?? parsed.searchParams.get("schema") ?? defaultSchema;
  const quoted = quotedSchema(schema);
  parsed.searchParams.delete("schema");
  const host = parsed.searchParams.get("host") ?? parsed.host;
  const shown = `postgres://${host}${parsed.pathname}${schema === defaultSchema ? "" : `?schema=${schema}`}`;
  return { client: { connectionString: parsed.href }, schema, quoted, shown };
}

/** Where a pool of the user's leads; what says nothing there comes from the environment, as in the driver. */
export function locationOfPool(pool: object, schema?: string): Location {
  const { options } = pool as { readonly options?: ClientConfig };
  if (
    typeof options !== "object" ||
    options === null ||
    typeof (pool as { connect?: unknown }).connect !== "function"
  ) {
    throw new FactlogError("INVALID_OPTION", "pool is no Pool of pg: give one, or a url.");
  }
  const { connectionString, password, ssl } = options;
  // What must not be printed by accident is not enumerable there.
  const hidden = { ...(password === undefined ? {} : { password }), ...(ssl === undefined ? {} : { ssl }) };
  if (connectionString !== undefined) {
    const location = parseLocation(connectionString, schema);
    return { ...location, client: { ...options, ...hidden, ...location.client } };
  }
  const { env } = process;
  const host = options.host ?? env["PGHOST"] ?? "localhost";
  const port = options.port ?? env["PGPORT"] ?? 5432;
  const database = options.database ?? env["PGDATABASE"] ?? options.user ?? env["PGUSER"] ?? env["USER"] ?? "";
  const name = schema ?? defaultSchema;
  return {
    client: { ...options, ...hidden },
    schema: name,
    quoted: quotedSchema(name),
    shown: `postgres://${host}:${port}/${database}${name === defaultSchema ? "" : `?schema=${name}`}`,
  };
}

/** INVALID_OPTION for a name that no schema of a log has. */
export function quotedSchema(schema: string): string {
  if (typeof schema === "string" && schemaName.test(schema) && !schema.startsWith("pg_")) return `"${schema}"`;
  throw new FactlogError(
    "INVALID_OPTION",
    `the schema ${JSON.stringify(schema)} cannot be used: give up to 48 of a-z, 0-9 and _, not beginning with a digit or pg_.`,
    { details: { schema } },
  );
}

function parseUrl(url: string): URL {
  if (/^postgres(ql)?:\/\//iu.test(url) && URL.canParse(url)) return new URL(url);
  // The text may hold a password, so it is not shown.
  throw new FactlogError(
    "INVALID_OPTION",
    "this is no address of a PostgreSQL database: give postgres://user@host:5432/database; encode what is special in a password (encodeURIComponent).",
  );
}
