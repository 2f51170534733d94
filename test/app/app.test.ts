import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { type App, appSpecOf, defineApp } from "../../src/app/app.ts";
import { defineSubscription } from "../../src/app/subscription.ts";
import { type AnyEventType, defineEvent, definitionOf } from "../../src/event/define.ts";
import { refused } from "../support/events.ts";

const schema = z.object({ orderId: z.string() });
const OrderPlaced = defineEvent("OrderPlaced", { schema });
const StockReserved = defineEvent("StockReserved", { schema });
const Unheard = defineEvent("Unheard", { schema });
const warehouse = defineSubscription("warehouse", { on: OrderPlaced, emits: [StockReserved] }, () => undefined);
const audit = defineSubscription("audit", { on: [OrderPlaced] }, () => undefined);

test("an app is a frozen value that knows its names, subscriptions and events", () => {
  const app = defineApp({ name: "shop", events: [Unheard], subscriptions: [warehouse, audit] });
  assert.deepEqual({ ...app }, { name: "shop", subscriptionNames: ["warehouse", "audit"] });
  assert.ok(Object.isFrozen(app) && Object.isFrozen(app.subscriptionNames));
  const spec = appSpecOf(app);
  assert.deepEqual(
    spec.subscriptions.map(({ name }) => name),
    ["warehouse", "audit"],
  );
  const expected = [Unheard, OrderPlaced, StockReserved].map((event) => [
    event.type,
    definitionOf(event as unknown as AnyEventType),
  ]);
  assert.deepEqual([...spec.events], expected);
});

test("an app without subscriptions only publishes", () => {
  assert.equal(appSpecOf(defineApp({ name: "web", events: [OrderPlaced], subscriptions: [] })).events.size, 1);
});

test("two subscriptions of one name are refused", () => {
  const again = defineSubscription("warehouse", { on: StockReserved }, () => undefined);
  const error = refused("DUPLICATE_SUBSCRIPTION", /two subscriptions are named warehouse/, () =>
    defineApp({ name: "shop", subscriptions: [warehouse, audit, again] }),
  );
  assert.equal(error.details["subscription"], "warehouse");
  refused("DUPLICATE_SUBSCRIPTION", /warehouse/, () =>
    defineApp({ name: "shop", subscriptions: [warehouse, warehouse] }),
  );
});

test("two definitions of one event type are refused, wherever they come from", () => {
  const Other = defineEvent("OrderPlaced", { schema });
  const reader = defineSubscription("reader", { on: Other }, () => undefined);
  const emitter = defineSubscription("emitter", { on: StockReserved, emits: [Other] }, () => undefined);
  for (const subscription of [reader, emitter]) {
    refused("INVALID_DEFINITION", /OrderPlaced has two different definitions/, () =>
      defineApp({ name: "shop", subscriptions: [warehouse, subscription] }),
    );
  }
  refused("INVALID_DEFINITION", /OrderPlaced has two/, () =>
    defineApp({ name: "shop", events: [OrderPlaced, Other], subscriptions: [] }),
  );
});

test("what is no app, name, event, subscription or option is refused", () => {
  for (const name of ["", "a\0", undefined]) {
    refused("INVALID_ATTRIBUTE", /^app name/, () => defineApp({ name: name as string, subscriptions: [] }));
  }
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ subscriptions: undefined }, /subscriptions is no list/],
    [{ subscriptions: [{ name: "x", kind: "handler" }] }, /is no subscription/],
    [{ subscriptions: [], events: ["OrderPlaced"] }, /events holds something that defineEvent did not make/],
    [{ subscriptions: [], events: OrderPlaced }, /events is no list/],
    [{ subscriptions: [], schedules: {} }, /schedules is no list/],
    [{ subscriptions: [], timers: [] }, /timers is no option of defineApp/],
  ];
  for (const [options, message] of bad) {
    refused("INVALID_DEFINITION", message, () => defineApp({ name: "shop", ...options } as never));
  }
  refused("INVALID_DEFINITION", /options of defineApp are missing/, () => defineApp(undefined as never));
  refused("INVALID_DEFINITION", /is no app/, () => appSpecOf({ name: "shop", subscriptionNames: [] } as App));
});

test("an app of another copy of the package is understood", async () => {
  const url = `${import.meta.resolve("../../src/app/app.ts")}?copy`;
  const copy = (await import(url)) as { readonly defineApp: typeof defineApp };
  assert.notEqual(copy.defineApp, defineApp);
  assert.equal(appSpecOf(copy.defineApp({ name: "foreign", subscriptions: [audit] })).subscriptions[0]?.name, "audit");
});
