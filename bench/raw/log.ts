import { randomUUIDv7 } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Order } from "../workload.ts";

/**
 * The job of a publisher and nothing else: the same columns and unique index, WAL and FULL, one commit for all that
 * waits. No validation, no duplicates answered, no second process.
 */
export class RawLog {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  #position = 0;
  #waiting: { readonly orders: readonly Order[]; readonly done: () => void }[] = [];

  constructor(path: string) {
    this.#db = new DatabaseSync(path, { returnArrays: true });
    this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384");
    this.#db.exec(`
      CREATE TABLE event(position INTEGER PRIMARY KEY, source INTEGER NOT NULL, id ANY NOT NULL, schema INTEGER NOT NULL,
        slot INTEGER NOT NULL, key TEXT, grp TEXT, time_ms REAL NOT NULL, recorded_ms REAL NOT NULL,
        attributes TEXT NOT NULL, data TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;
      CREATE UNIQUE INDEX event_id ON event(source, id)`);
    this.#insert = this.#db.prepare("INSERT INTO event VALUES (?, 1, unhex(?, '-'), 1, ?, ?, NULL, ?, ?, '', ?, ?)");
  }

  /** Resolves after the commit. */
  append(orders: readonly Order[]): Promise<void> {
    return new Promise((done) => {
      if (this.#waiting.push({ orders, done }) === 1) setImmediate(() => this.#commit());
    });
  }

  #commit(): void {
    const calls = this.#waiting;
    this.#waiting = [];
    const nowMs = Date.now();
    this.#db.exec("BEGIN IMMEDIATE");
    for (const { orders } of calls) for (const order of orders) this.#add(order, nowMs);
    this.#db.exec("COMMIT");
    for (const { done } of calls) done();
  }

  #add(order: Order, nowMs: number): void {
    const id = randomUUIDv7();
    const data = JSON.stringify(order);
    const crc = crc32(`raw\0${id}\0order.placed\0=${order.customer}\0\0${nowMs}\x001\0\0${data}`);
    this.#insert.run(++this.#position, id, crc32(order.customer) % 64, order.customer, nowMs, nowMs, data, crc);
  }

  close(): void {
    this.#db.close();
  }
}
