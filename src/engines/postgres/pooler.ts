import { FactlogError } from "../../errors.ts";
import type { Client, Driver } from "./driver.ts";
import type { Location } from "./location.ts";

/**
 * Behind a pooler in transaction mode two connections share a backend: then locks of sessions, LISTEN, settings and prepared
 * statements are anybody's. NOT_SUPPORTED where that is seen: a pooler gives numbers of its own for backends, and one in
 * transaction mode lends the backend of an idle connection to the next. Changes nothing.
 */
export async function requireOwnBackend(client: Client, driver: Driver, location: Location): Promise<void> {
  const mine = await backendOf(client);
  if (mine === client.processID) return;
  const other = new driver.Client({ ...location.client, application_name: "factlog look" });
  other.on("error", () => undefined);
  try {
    await other.connect();
    await other.query("BEGIN");
    const lent = (await backendOf(other)) === mine;
    if (!lent && (await backendOf(client)) === mine) return;
  } finally {
    await other.end().catch(() => undefined);
  }
  throw new FactlogError(
    "NOT_SUPPORTED",
    `${location.shown} is a pooler in transaction mode: Factlog needs connections of its own (locks of sessions, LISTEN). Give it the server's address, or a pool in session mode; stores and the outbox may go on using the pooler.`,
    { details: { store: location.shown } },
  );
}

async function backendOf(client: Client): Promise<number> {
  const { rows } = await client.query({ text: "SELECT pg_backend_pid()", rowMode: "array" });
  return (rows[0] as [number])[0];
}
