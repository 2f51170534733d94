import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineSubscription, specOf, type Subscription } from "../../src/app/subscription.ts";
import { defineEvent, definitionOf } from "../../src/event/define.ts";
import { formatPosition } from "../../src/event/position.ts";
import { limits } from "../../src/limits.ts";
import { refused } from "../support/events.ts";
import { libraries } from "../support/schemas.ts";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string() }),
  key: (order) => order.orderId,
});
const StockReserved = defineEvent("StockReserved", { schema: z.object({ orderId: z.string() }) });
const handler = (): void => undefined;
const spec = (options: object) => specOf(defineSubscription("s", { on: OrderPlaced, ...options } as never, handler));

test("a subscription is a frozen, opaque value", () => {
  const subscription = defineSubscription("warehouse", { on: OrderPlaced }, handler);
  assert.deepEqual({ ...subscription }, { name: "warehouse", kind: "handler" });
  assert.deepEqual(Object.keys(subscription), ["name", "kind"]);
  assert.ok(Object.isFrozen(subscription) && Object.isFrozen(specOf(subscription)));
  for (const stranger of [{ name: "warehouse", kind: "handler" }, undefined, null, "warehouse"]) {
    refused("INVALID_DEFINITION", /is no subscription/, () => specOf(stranger as Subscription));
  }
});

test("defaults are filled in from the table of limits", () => {
  const { handler: given, ...rest } = spec({});
  assert.equal(given, handler);
  assert.deepEqual(rest, {
    name: "s",
    kind: "handler",
    on: [definitionOf(OrderPlaced)],
    emits: undefined,
    emitted: [],
    filter: undefined,
    from: undefined,
    order: "key",
    onExhausted: "hold-key",
    onWait: "hold-key",
    retry: { attemptsMax: 8, crashesMax: 5, backoff: { firstMs: 1_000, factor: 6, maxMs: 900_000 } },
    timeoutMs: 300_000,
    batch: undefined,
    concurrency: 16,
    outage: true,
    limits: undefined,
    takesTurns: false,
    description: undefined,
    store: undefined,
    state: undefined,
  });
});

test("what is said is kept", () => {
  const filter = (): boolean => true;
  const state = { schema: z.object({ n: z.number() }), initial: { n: 0 } };
  const said = spec({
    on: [OrderPlaced, StockReserved, OrderPlaced],
    emits: [StockReserved],
    filter,
    from: "beginning",
    order: "log",
    onExhausted: "stop",
    retry: { attemptsMax: Infinity, crashesMax: 2, backoff: ["1s", 500] },
    timeout: "90s",
    concurrency: limits.concurrencyMax,
    description: "Reserves stock.",
    state,
  });
  assert.deepEqual(said.on, [definitionOf(OrderPlaced), definitionOf(StockReserved)]);
  assert.deepEqual([said.emits, said.emitted], [new Set(["StockReserved"]), [definitionOf(StockReserved)]]);
  assert.deepEqual([said.filter, said.from, said.order, said.onExhausted], [filter, "beginning", "log", "stop"]);
  assert.deepEqual(said.retry, { attemptsMax: Infinity, crashesMax: 2, backoff: { waitsMs: [1_000, 500] } });
  assert.deepEqual([said.timeoutMs, said.concurrency, said.description], [90_000, 10_000, "Reserves stock."]);
  assert.deepEqual(said.state, state);
  assert.deepEqual(spec({ emits: [] }).emits, new Set());
});

test("what a dead letter does follows from the order", () => {
  assert.deepEqual(
    (["key", "none", "log"] as const).map((order) => spec({ order }).onExhausted),
    ["hold-key", "skip-event", "hold-key"],
  );
  assert.equal(spec({ order: "none", onExhausted: "stop" }).onExhausted, "stop");
});

test("where a subscription starts: beginning, now, a time or a position", () => {
  const position = formatPosition("e1", 3, 42);
  for (const from of ["beginning", "now", position]) assert.equal(spec({ from }).from, from);
  const date = new Date(5);
  const { from } = spec({ from: date });
  date.setTime(9);
  assert.deepEqual(from, new Date(5));
});

test("each bad option is refused by name, with what to give instead", () => {
  const state = { schema: z.object({ n: z.number() }), initial: { n: 0 } };
  const Other = defineEvent("OrderPlaced", { schema: z.object({}) });
  const bad: readonly (readonly [object, string, RegExp])[] = [
    [{ on: [] }, "on", /on is an empty list: name at least one event type/],
    [{ on: undefined }, "on", /on is undefined: give event types made by defineEvent/],
    [{ on: "OrderPlaced" }, "on", /on is "OrderPlaced"/],
    [{ on: [OrderPlaced, null] }, "on", /on is null/],
    [{ on: [OrderPlaced, () => 1] }, "on", /on is a function/],
    [{ on: [OrderPlaced, Other] }, "on", /defined twice, differently/],
    [{ emits: ["StockReserved"] }, "emits", /emits is "StockReserved"/],
    [{ emits: [{}] }, "emits", /emits is an object/],
    [{ filter: true }, "filter", /filter is true: give a function/],
    [{ from: "start" }, "from", /from is "start": give "beginning", "now", a valid Date or a position/],
    [{ from: 5 }, "from", /from is 5/],
    [{ from: new Date(Number.NaN) }, "from", /from is an object/],
    [{ order: "keys" }, "order", /order is "keys": choose among "key", "none", "log"/],
    [{ order: null }, "order", /order is null/],
    [{ onExhausted: "hold" }, "onExhausted", /onExhausted is "hold": choose among "hold-key", "skip-event", "stop"/],
    [{ order: "none", onExhausted: "hold-key" }, "onExhausted", /order "none" holds no keys/],
    [{ timeout: "5 m" }, "timeout", /timeout is "5 m": give milliseconds, or a literal/],
    [{ timeout: 0 }, "timeout", /timeout is 0: give more than 0/],
    [{ timeout: -1 }, "timeout", /timeout is -1/],
    [{ concurrency: 0 }, "concurrency", /concurrency is 0: give a whole number of 1 to 10000/],
    [{ concurrency: 1.5 }, "concurrency", /concurrency is 1\.5/],
    [{ concurrency: limits.concurrencyMax + 1 }, "concurrency", /concurrency is 10001/],
    [{ concurrency: "16" }, "concurrency", /concurrency is "16"/],
    [{ state, order: "none" }, "state", /it needs an order/],
    [{ state: { initial: {} } }, "state.schema", /state\.schema is undefined/],
    [{ state: { ...state, initial: undefined } }, "state.initial", /state\.initial is undefined: give a JSON value/],
    [{ state: { ...state, initial: { n: "0" } } }, "state.initial", /state\.initial: n: expected number/],
    [{ concurency: 5 }, "concurency", /concurency is no option; choose among on, emits/],
    [{ store: {} }, "store", /this is no store: give sqliteStore/],
  ];
  for (const [options, option, message] of bad) {
    const error = refused("INVALID_DEFINITION", message, () => spec(options));
    assert.match(error.message, /^s: /);
    assert.equal(error.details["subscription"], "s");
    assert.equal(error.details["option"], option);
  }
});

test("retry, handler and options are checked too", () => {
  refused("INVALID_DEFINITION", /attemptsMax is 0/, () => spec({ retry: { attemptsMax: 0 } }));
  refused("INVALID_DEFINITION", /"soon"/, () => spec({ retry: { backoff: ["soon"] } }));
  refused("INVALID_DEFINITION", /handler is undefined/, () =>
    defineSubscription("s", { on: OrderPlaced }, undefined as never),
  );
  refused("INVALID_DEFINITION", /options is undefined/, () => defineSubscription("s", undefined as never, handler));
});

test("a name is 1 to 200 printable characters", () => {
  for (const name of ["", "a\nb", "x".repeat(201), "\ud800", 5, undefined]) {
    refused("INVALID_ATTRIBUTE", /^subscription name/, () =>
      defineSubscription(name as string, { on: OrderPlaced }, handler),
    );
  }
});

test("a state's initial value is read as the stored one will be", () => {
  const dated = z.object({ at: z.iso.datetime().transform((text) => new Date(text)) });
  assert.doesNotThrow(() => spec({ state: { schema: dated, initial: { at: new Date(0) } } }));
  for (const { order } of libraries) {
    assert.doesNotThrow(() => spec({ state: { schema: order, initial: { orderId: "", lines: [] } } }));
    refused("INVALID_DEFINITION", /state\.initial/, () => spec({ state: { schema: order, initial: { orderId: "" } } }));
  }
});

test("a subscription of another copy of the package is understood", async () => {
  const url = `${import.meta.resolve("../../src/app/subscription.ts")}?copy`;
  const copy = (await import(url)) as { readonly defineSubscription: typeof defineSubscription };
  assert.notEqual(copy.defineSubscription, defineSubscription);
  assert.equal(specOf(copy.defineSubscription("foreign", { on: OrderPlaced }, handler)).name, "foreign");
});
