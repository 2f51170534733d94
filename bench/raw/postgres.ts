import { crc32 } from "node:zlib";
import pg from "pg";
import type { Order } from "../workload.ts";

/** The raw limit on PostgreSQL: appends that share a commit as ours do, into the same columns under the same keys. */
export class RawPostgresLog {
  readonly #client: pg.Client;
  #waiting: { readonly orders: readonly Order[]; readonly done: () => void }[] = [];
  #busy = false;
  #position = 0;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<RawPostgresLog> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(
      `DROP TABLE IF EXISTS raw_event; CREATE TABLE raw_event(
         position bigint PRIMARY KEY, source integer NOT NULL, schema integer NOT NULL, slot integer NOT NULL,
         crc bigint NOT NULL, time_ms float8 NOT NULL, recorded_ms float8 NOT NULL, id bytea NOT NULL,
         key text COLLATE "C", grp text COLLATE "C", attributes text COLLATE "C" NOT NULL, data text COLLATE "C" NOT NULL);
       CREATE UNIQUE INDEX raw_event_id ON raw_event(source, id)`,
    );
    return new RawPostgresLog(client);
  }

  append(orders: readonly Order[]): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ orders, done });
      if (!this.#busy) setImmediate(() => void this.#flush());
    });
  }
  async #flush(): Promise<void> {
    if (this.#busy || this.#waiting.length === 0) return;
    this.#busy = true;
    const calls = this.#waiting.splice(0);
    const orders = calls.flatMap((call) => call.orders);
    const data = orders.map((order) => JSON.stringify(order));
    const nowMs = Date.now();
    await this.#client.query({
      name: "raw-append",
      text: `INSERT INTO raw_event SELECT $1::bigint + u.i, 1, 1, u.slot, u.crc, $2, $2, u.id, u.key, NULL, '', u.data
             FROM unnest($3::integer[], $4::bigint[], $5::bytea[], $6::text[], $7::text[]) WITH ORDINALITY
               AS u(slot, crc, id, key, data, i)`,
      values: [
        this.#position,
        nowMs,
        orders.map((order) => crc32(order.customer) % 64),
        data.map((text) => crc32(text)),
        orders.map(() => `\\x${crypto.randomUUID().replaceAll("-", "")}`),
        orders.map((order) => order.customer),
        data,
      ],
    });
    this.#position += orders.length;
    for (const { done } of calls) done();
    this.#busy = false;
    if (this.#waiting.length > 0) await this.#flush();
  }
  async close(): Promise<void> {
    await this.#client.end();
  }
}
