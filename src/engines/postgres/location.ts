import { FactlogError } from "../../errors.ts";

/** Where a log is: a database, and a schema of its own in it. */
export interface Location {
  /** As given, without our own parameters. May hold a password. */
  readonly connectionString: string;
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
  return { connectionString: parsed.href, schema, quoted, shown };
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
