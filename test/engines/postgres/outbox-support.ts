import type { TestContext } from "node:test";
import pg from "pg";
import { z } from "zod";
import { readAll } from "../../../src/conformance/build.ts";
import type { EventLog } from "../../../src/engine/event-log.ts";
import { defineEvent, type NewEvent } from "../../../src/index.ts";
import { outbox } from "../../../src/outbox/index.ts";
import type { Place } from "../../support/postgres.ts";

export const Placed = defineEvent("Placed", {
  schema: z.object({ order: z.string(), n: z.number() }),
  key: ({ order }) => order,
});
export const Paid = defineEvent("Paid", { schema: z.object({ id: z.string(), n: z.number() }), id: ({ id }) => id });
export const order = (order: string, n: number): { order: string; n: number } => ({ order, n });

export async function connect(t: TestContext, { url }: Place): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  t.after(() => client.end());
  return client;
}

/** A connection on which events are published inside a transaction that stays open. */
export async function publishing(t: TestContext, where: Place, ...events: readonly NewEvent[]): Promise<pg.Client> {
  const client = await connect(t, where);
  await client.query("BEGIN");
  await outbox(client, { schema: where.schema }).publish(...events);
  return client;
}

/** Publishes in a transaction of its own that commits. */
export async function publish(t: TestContext, where: Place, ...events: readonly NewEvent[]): Promise<void> {
  await (await publishing(t, where, ...events)).query("COMMIT");
}

/** Moves all that is there. */
export async function relayAll(log: EventLog): Promise<number> {
  for (let sum = 0; ;) {
    const { carried, more } = await log.relay!();
    sum += carried;
    if (!more || carried === 0) return sum;
  }
}

export const dataOf = async (log: EventLog): Promise<unknown[]> =>
  (await readAll(log)).map(({ data }) => JSON.parse(data) as unknown);
