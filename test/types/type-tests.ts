/** Claims about inference, checked by tsc and never run. A line under `@ts-expect-error` must fail. */
import {
  type App,
  type Awaitable,
  defineApp,
  defineEvent,
  defineSubscription,
  type Duration,
  type EventOf,
  FactlogError,
  type From,
  type HandlerContext,
  type Json,
  NonRetryable,
  type NewEventOf,
  newEventFromJson,
  openLog,
  type Position,
  type Receipt,
  type RecordedEvent,
  RetryAfter,
  run,
  sql,
  type Subscription,
  toCloudEvent,
  upcast,
} from "factlog";
import { drizzleStore } from "factlog/drizzle";
import { kyselyStore } from "factlog/kysely";
import { pgStore, type PgTx, postgres } from "factlog/postgres";
import { z } from "zod";
import { OrderExpired, OrderPlaced, OrderShipped, PaymentCaptured, PaymentDeclined, StockReserved } from "./events.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(...equal: Equal<A, B> extends true ? [] : [never]): void;
same<1, 1>();
// @ts-expect-error the claim itself can fail
same<1, 2>();

// T1 callbacks of an event are inferred inside the same literal, from the schema's INPUT
const X = { schema: z.object({ a: z.string(), n: z.number().default(1) }) };
defineEvent("X", {
  ...X,
  key: (data) => {
    same<typeof data, { a: string; n?: number | undefined }>();
    return data.a;
  },
});
// @ts-expect-error a key is a string
defineEvent("X", { schema: z.object({ a: z.number() }), key: (data) => data.a });
// @ts-expect-error an id is a string
defineEvent("X", { ...X, id: (data) => data.n });
// @ts-expect-error no such field
defineEvent("X", { ...X, group: (data) => data.tenant });
// @ts-expect-error misspelt option
defineEvent("X", { ...X, keys: (data: { a: string }) => data.a });
// @ts-expect-error a schema is needed
defineEvent("X", { key: () => "x" });
// @ts-expect-error an upcast gives JSON
upcast(1, z.object({ a: z.string() }), () => ({ at: new Date(), f() {} }));
// @ts-expect-error the old form is typed by its schema
upcast(1, z.object({ a: z.string() }), (old) => old.b);
same<(typeof OrderPlaced)["type"], "OrderPlaced">();

// Wire is INPUT
OrderShipped({ orderId: "1", at: "2026-01-01T00:00:00Z" });
// @ts-expect-error a Date is not the wire form
OrderShipped({ orderId: "1", at: new Date() });
const order = OrderPlaced({ orderId: "1", tenantId: "t", customer: "c", lines: [], total: 1 });
same<typeof order, NewEventOf<typeof OrderPlaced>>();
same<typeof order.type, "OrderPlaced">();
// @ts-expect-error a field is missing
OrderPlaced({ orderId: "1" });
// @ts-expect-error an event is immutable
order.type = "OrderPlaced";
OrderExpired({ orderId: "1" }, { correlationId: "c", time: new Date(), extensions: { tenant: "t" } });
// @ts-expect-error misspelt attribute
OrderExpired({ orderId: "1" }, { correlationID: "c" });
newEventFromJson(OrderPlaced, "{}", { subject: "s" });

// T2 the union over on: [A, B] narrows by type, exhaustively
const s1 = defineSubscription("s1", { on: [OrderPlaced, PaymentCaptured, PaymentDeclined] }, async (event) => {
  switch (event.type) {
    case "OrderPlaced":
      same<typeof event.data.currency, string>(); // OUTPUT: the default is applied
      return;
    case "PaymentCaptured":
      same<typeof event.data.amount, number>();
      return;
    case "PaymentDeclined":
      event.data.reason.toUpperCase();
      return;
    default: {
      const never: never = event;
      return never;
    }
  }
});
// T2b destructured
defineSubscription("s1b", { on: [PaymentCaptured, PaymentDeclined] }, async ({ type, data }) => {
  if (type === "PaymentDeclined") data.reason satisfies string;
  else data.amount satisfies number;
});
// T2c single, not in an array
const s1c = defineSubscription("s1c", { on: OrderShipped }, (event) => same<typeof event.data.at, Date>());
// T2d guard
defineSubscription("s1d", { on: [OrderPlaced, OrderShipped] }, (event) => {
  if (OrderShipped.is(event)) same<typeof event.data.at, Date>();
  // @ts-expect-error not of every event
  void event.data.at;
});
// T2e facts are read-only
defineSubscription("s1e", { on: OrderExpired }, (event) => {
  // @ts-expect-error read-only
  event.id = "x";
  same<typeof event.position, Position>();
  same<typeof event.key, string | undefined>();
});
// T2f the filter sees what the handler sees
defineSubscription("s1f", { on: [OrderPlaced], filter: (event) => event.data.total > 5 }, () => {});
// @ts-expect-error a filter answers yes or no
defineSubscription("s1g", { on: [OrderPlaced], filter: (event) => event.data.customer }, () => {});
// @ts-expect-error an event type, not its name
defineSubscription("s1h", { on: "OrderPlaced" }, () => {});

// T3 emits restricts
const s2 = defineSubscription("s2", { on: [OrderPlaced], emits: [StockReserved] }, async (event, ctx) => {
  ctx.emit(StockReserved({ orderId: event.data.orderId }), { name: "x", attributes: { subject: "s" } });
  const receipt = await ctx.announce(StockReserved({ orderId: event.data.orderId }));
  same<typeof receipt, Receipt>();
  // @ts-expect-error not declared
  ctx.emit(PaymentCaptured({ orderId: "1", amount: 1 }));
  // @ts-expect-error not declared
  void ctx.announce(PaymentCaptured({ orderId: "1", amount: 1 }));
});
// T3b two emits
defineSubscription("s2b", { on: [OrderPlaced], emits: [PaymentCaptured, PaymentDeclined] }, (_event, ctx) => {
  ctx.emit(PaymentCaptured({ orderId: "1", amount: 1 }));
  ctx.emit(PaymentDeclined({ orderId: "1", reason: "x" }));
  // @ts-expect-error not declared
  ctx.emit(StockReserved({ orderId: "1" }));
});
// T3c undeclared: any
defineSubscription("s2c", { on: [OrderPlaced] }, (_event, ctx) => ctx.emit(StockReserved({ orderId: "1" })));
// @ts-expect-error wrong data
defineSubscription("s2d", { on: [OrderPlaced] }, (_event, ctx) => ctx.emit(StockReserved({ orderId: 1 })));
// T3d the context
defineSubscription("s2e", { on: [OrderPlaced] }, (_event, ctx) => {
  same<typeof ctx.attempt, number>();
  same<typeof ctx.mode, "live" | "backfill" | "replay" | "redrive">();
  ctx.logger.info("text", { field: 1 });
  ctx.write(sql`update stock set n = n - ${1} where sku = ${ctx.idempotencyKey("sku")}`);
  void fetch("http://localhost", { signal: ctx.signal });
  // @ts-expect-error a statement, not text
  ctx.write("update stock");
  // @ts-expect-error no store, no tx
  void ctx.tx;
  // @ts-expect-error no state was declared
  void ctx.state;
});
/** A helper of a user's own, over any context. */
export const remember = (ctx: HandlerContext): void => ctx.write(sql`select 1`);
defineSubscription("s2f", { on: [OrderPlaced] }, (_event, ctx) => remember(ctx));

// T6 a typo in the unit
const duration: Duration = "1.5h";
// @ts-expect-error no such unit
const typo: Duration = "24hours";
defineSubscription(
  "s5",
  { on: OrderPlaced, timeout: duration, retry: { attemptsMax: Infinity, backoff: ["1s", 5] } },
  () => {
    throw new RetryAfter("5s");
  },
);
// @ts-expect-error no such unit
defineSubscription("s5b", { on: OrderPlaced, timeout: "5min" }, () => {});
// @ts-expect-error no such order
defineSubscription("s5c", { on: OrderPlaced, order: "keys" }, () => {});
// @ts-expect-error no such choice
defineSubscription("s5d", { on: OrderPlaced, onExhausted: "skip" }, () => {});
// @ts-expect-error misspelt option
defineSubscription("s5e", { on: OrderPlaced, concurency: 5 }, () => {});
// @ts-expect-error text is no position: it comes from an event or a receipt
const from: From = "sqlite.3.42";
// @ts-expect-error a wait is a duration or a Date
new RetryAfter("soon");
new NonRetryable("no lines", { cause: new FactlogError("TIMEOUT", "late") });

// T7 state
const s6 = defineSubscription(
  "s6",
  { on: [PaymentCaptured], state: { schema: z.object({ n: z.number() }), initial: { n: 0 } } },
  (event, ctx) => {
    const state = ctx.state.get();
    same<typeof state, { n: number }>();
    ctx.state.set({ n: state.n + event.data.amount });
    // @ts-expect-error another form
    ctx.state.set({ m: 1 });
    ctx.state.delete();
  },
);
const wrong = { schema: z.object({ n: z.number() }), initial: { n: "0" } };
// @ts-expect-error the initial value is of the schema's form
defineSubscription("s6b", { on: [PaymentCaptured], state: wrong }, () => {});

// T7b stores
defineSubscription("s7", { on: OrderPlaced, store: pgStore() }, async (_event, ctx) => {
  same<typeof ctx.tx, PgTx>();
  const { rows } = await ctx.tx.query<{ n: number }>("select 1 as n");
  same<typeof rows, { n: number }[]>();
  // @ts-expect-error no state was declared
  void ctx.state;
});
const counted = { schema: z.object({ n: z.number() }), initial: { n: 0 } };
defineSubscription("s7b", { on: OrderPlaced, store: pgStore({ connect() {} }), state: counted }, (_event, ctx) => {
  same<ReturnType<typeof ctx.state.get>, { n: number }>();
  return ctx.tx.query("select 1");
});
interface LibraryTx {
  insert(n: number): Promise<void>;
}
declare const drizzleDb: {
  transaction<T>(run: (tx: LibraryTx) => Promise<T>, config?: { isolationLevel?: "read committed" }): Promise<T>;
};
declare const kyselyDb: { transaction(): { execute<T>(run: (tx: LibraryTx) => Promise<T>): Promise<T> } };
for (const store of [drizzleStore(drizzleDb), kyselyStore(kyselyDb)]) {
  defineSubscription("s7c", { on: OrderPlaced, store }, (_event, ctx) => {
    same<typeof ctx.tx, LibraryTx>();
    // @ts-expect-error text is no number
    return ctx.tx.insert("1");
  });
}
// @ts-expect-error no database
drizzleStore({});
// @ts-expect-error a store, not a pool
defineSubscription("s7e", { on: OrderPlaced, store: { connect() {} } }, () => {});

// T8 different subscriptions in one array, names, only
const subscriptions: readonly Subscription[] = [s1, s1c, s2, s6];
export const any: App = defineApp({ name: "any", subscriptions });
export const app = defineApp({ name: "shop", events: [OrderExpired], subscriptions: [s1, s2, s6] });
same<(typeof app)["subscriptionNames"], readonly ("s1" | "s2" | "s6")[]>();
// @ts-expect-error a subscription, not its name
defineApp({ name: "shop", subscriptions: ["s1"] });
const log = await openLog("sqlite:x.db");
const worker = await log.work(app, { only: ["s1", "s6"] });
same<typeof worker.stopped, Promise<void>>();
// @ts-expect-error misspelt
await log.work(app, { only: ["s1", "s7"] });
// @ts-expect-error misspelt
await log.drain(app, { except: ["s"] });
// @ts-expect-error misspelt
await run(app, { only: ["nope"] });
// @ts-expect-error an app is made by defineApp
await run({ name: "shop" });
const receipt = await log.publish(order);
// @ts-expect-error an event is made by its event type
await log.publish({ orderId: "1" });
// @ts-expect-error the position may be absent
void receipt.position.length;
const answer = await log.until(receipt, [PaymentCaptured, PaymentDeclined], { timeout: "5s" });
if (answer.type === "PaymentDeclined") answer.data.reason satisfies string;
// @ts-expect-error a bound is needed
await log.until(receipt, PaymentCaptured, {});
for await (const frame of log.follow({ correlationId: receipt.correlationId, on: [PaymentCaptured] })) {
  if (frame.kind === "event") frame.event.data.amount satisfies number;
}
for await (const event of log.read({ on: [OrderPlaced, OrderShipped], key: "o-1" })) {
  if (event.type === "OrderShipped") same<typeof event.data.at, Date>();
}
for await (const event of log.read()) {
  same<typeof event.type, string>();
  toCloudEvent(event).specversion satisfies "1.0";
}
await log.close();

// What a user's own exports may infer has a name
export type E = EventOf<typeof OrderPlaced | typeof PaymentCaptured>;
same<E["type"], "OrderPlaced" | "PaymentCaptured">();
same<EventOf<typeof OrderShipped>["data"], { orderId: string; at: Date }>();
same<NewEventOf<typeof OrderShipped>["data"], { orderId: string; at: string }>();
export const exported = { s1, s2, s6, app, order, receipt, duration, typo, from };
export const handler = async (event: EventOf<typeof OrderPlaced>): Promise<Json> => ({
  id: event.id,
  total: event.data.total,
});
export const listener: (event: RecordedEvent) => Awaitable<unknown> = (event) => event.type;

// The door of an engine gives a handle, and no type of its driver
export const onServer = openLog(postgres({ url: "postgres://host/database", schema: "orders", slots: 8 }));
// @ts-expect-error an address is needed
postgres({ schema: "orders" });
