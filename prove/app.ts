import { DatabaseSync } from "node:sqlite";
import { type App, defineApp, defineSubscription, sql } from "../src/index.ts";
import { Derived, Fact } from "./facts.ts";

/** Writes one row for each fact, through the settle. */
const rows = defineSubscription("rows", { on: Fact, from: "beginning" }, ({ id }, ctx) => {
  ctx.write(sql`INSERT INTO effect(id) VALUES (${id})`);
});
/** Emits one fact for each. */
const derive = defineSubscription("derive", { on: Fact, emits: [Derived], from: "beginning" }, ({ id, data }, ctx) => {
  ctx.emit(Derived({ key: data.key, of: id, sub: "derive", run: 0 }));
});
export const app: App = defineApp({ name: "steady", subscriptions: [rows, derive] });

/** Without any key, so that it would take a row twice. */
export const effectTable = "CREATE TABLE IF NOT EXISTS effect(id TEXT NOT NULL)";
export function makeEffectTable(file: string): void {
  const own = new DatabaseSync(file, { timeout: 5_000 });
  own.exec(effectTable);
  own.close();
}

export const keys = 50;
export const publisher = "p";
