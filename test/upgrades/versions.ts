/** An app in two versions, for each way in which it may change from one to the next. */
import { z } from "zod";
import {
  type App,
  type AnyEventType,
  defineApp,
  defineEvent,
  defineSubscription,
  sql,
  upcast,
} from "../../src/index.ts";

export const changes = ["on", "retry", "removed", "schema"] as const;
export type Change = (typeof changes)[number];
export type Version = 1 | 2;

const keyed = { key: z.string(), n: z.number() };
const key = (data: { readonly key: string }): string => data.key;
export const OrderOfOld = defineEvent("Order", { schema: z.object(keyed), key });
export const Order = defineEvent("Order", {
  version: 2,
  schema: z.object({ ...keyed, currency: z.string() }),
  upcasts: [upcast(1, z.object(keyed), (old) => ({ ...old, currency: "EUR" }))],
  key,
});
export const Done = defineEvent("Done", { schema: z.object(keyed), key });

export const effectTable = "CREATE TABLE effect(sub TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL)";
/** Of these the first attempt fails. */
export const fails = (n: number): boolean => n % 5 === 0;

export function appOf(change: Change, version: Version): App {
  const NewOrder: AnyEventType = change === "schema" && version === 2 ? Order : OrderOfOld;
  const on = change === "on" && version === 2 ? [NewOrder, Done] : [NewOrder];
  const retry = { attemptsMax: change === "retry" && version === 1 ? 1 : 3, backoff: [1] };
  const reader = (name: string): ReturnType<typeof defineSubscription> =>
    defineSubscription(name, { on, from: "beginning", onExhausted: "skip-event", retry }, (event, ctx) => {
      if (change === "retry" && fails((event.data as { n: number }).n) && ctx.attempt === 1) throw new Error("first");
      ctx.write(sql`INSERT INTO effect(sub, id, version) VALUES (${name}, ${event.id}, ${version})`);
    });
  const subscriptions = [reader("reader")];
  if (change === "removed" && version === 1) subscriptions.push(reader("gone"));
  return defineApp({ name: "versions", subscriptions });
}
