import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { z } from "zod";
import {
  defineEvent,
  definitionOf,
  definitionOfEvent,
  isEventType,
  newEventFromJson,
  type AnyEventType,
} from "../../src/event/define.ts";
import type * as define from "../../src/event/define.ts";
import { upcast } from "../../src/event/upcast.ts";
import { encode, refused } from "../support/events.ts";

const schema = z.object({ orderId: z.string() });
const OrderPlaced = defineEvent("OrderPlaced", {
  schema,
  key: (order) => order.orderId,
  description: "A customer ordered.",
});

test("an event type makes events and tells what it is", () => {
  const event = OrderPlaced({ orderId: "1" }, { subject: "s" });
  assert.deepEqual({ ...event }, { type: "OrderPlaced", data: { orderId: "1" }, attributes: { subject: "s" } });
  assert.deepEqual([OrderPlaced.type, OrderPlaced.version, OrderPlaced.name], ["OrderPlaced", 1, "OrderPlaced"]);
  assert.equal(OrderPlaced.schema, schema);
  assert.equal(OrderPlaced.is(event), true);
  assert.equal(OrderPlaced.is({ type: "Other" }), false);
  assert.equal(
    inspect(event),
    "NewEvent {\n  type: 'OrderPlaced',\n  data: { orderId: '1' },\n  attributes: { subject: 's' }\n}",
  );
  assert.equal(JSON.stringify(event), '{"type":"OrderPlaced","data":{"orderId":"1"},"attributes":{"subject":"s"}}');
});

test("event types, events and attributes are frozen, and attributes are copied", () => {
  const attributes: { subject: string } = { subject: "before" };
  const event = OrderPlaced({ orderId: "1" }, attributes);
  attributes.subject = "after";
  assert.equal(event.attributes.subject, "before");
  for (const value of [
    OrderPlaced,
    event,
    event.attributes,
    OrderPlaced({ orderId: "2" }).attributes,
    definitionOf(OrderPlaced),
  ]) {
    assert.ok(Object.isFrozen(value));
  }
  assert.throws(() => Object.assign(event, { type: "Other" }), TypeError);
});

test("definitions are found behind event types and events", () => {
  const definition = definitionOf(OrderPlaced);
  assert.equal(definitionOfEvent(OrderPlaced({ orderId: "1" })), definition);
  assert.equal(definition.eventType, OrderPlaced as unknown as AnyEventType);
  assert.deepEqual(
    [definition.type, definition.version, definition.description],
    ["OrderPlaced", 1, "A customer ordered."],
  );
  assert.equal(definition.key?.({ orderId: "1" }), "1");
  assert.ok(isEventType(OrderPlaced));
  for (const stranger of [() => 1, {}, null, undefined, "OrderPlaced"]) {
    assert.equal(isEventType(stranger), false);
    refused("INVALID_OPTION", /is no event type/, () => definitionOf(stranger as unknown as AnyEventType));
  }
});

test("a bad definition is refused with the option's name", () => {
  const from = (version: number) => upcast(version, schema, () => ({ orderId: "1" }));
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /options are missing/],
    [{}, /schema is no Standard Schema/],
    [{ schema: {} }, /schema is no Standard Schema/],
    [{ schema: { "~standard": { version: 1 } } }, /schema is no Standard Schema/],
    [{ schema, key: "orderId" }, /key is no function/],
    [{ schema, id: 1 }, /id is no function/],
    [{ schema, group: {} }, /group is no function/],
    [{ schema, version: 0 }, /version is 0: give a whole number/],
    [{ schema, version: 1.5 }, /version is 1\.5/],
    [{ schema, version: "2" }, /version is 2: give a whole number/],
    [{ schema, version: Number.NaN }, /version is NaN/],
    [{ schema, upcasts: {} }, /upcasts is no array/],
    [{ schema, keys: () => "" }, /keys is no option of defineEvent/],
    [{ schema, personal: {} }, /personal is no option/],
    [{ schema, version: 2 }, /no upcast starts from 1: add upcast\(1, \.\.\.\)/],
    [{ schema, version: 4, upcasts: [from(3), from(1)] }, /no upcast starts from 2/],
    [{ schema, version: 2, upcasts: [from(1), from(1)] }, /two upcasts start from version 1/],
    [{ schema, version: 2, upcasts: [from(1), from(2)] }, /at version 2, but an upcast starts from 2/],
    [{ schema, upcasts: [from(1)] }, /at version 1, but an upcast starts from 1/],
    [{ schema, version: 2, upcasts: [{ from: 1 }] }, /was not made by upcast/],
    [{ schema, version: 2, upcasts: [null] }, /was not made by upcast/],
  ];
  for (const [options, message] of bad) {
    const error = refused("INVALID_DEFINITION", message, () => defineEvent("OrderPlaced", options as never));
    assert.equal(error.details["type"], "OrderPlaced");
    assert.match(error.message, /^OrderPlaced: /);
  }
  for (const name of ["", "a\nb", "x".repeat(201), undefined]) {
    refused("INVALID_ATTRIBUTE", /^event type /, () => defineEvent(name as string, { schema }));
  }
});

test("an upcast is checked when it is made", () => {
  for (const from of [0, 1.5, Number.NaN, "1"]) {
    refused("INVALID_DEFINITION", /give a whole number of at least 1/, () =>
      upcast(from as number, schema, () => null),
    );
  }
  refused("INVALID_DEFINITION", /its schema is no Standard Schema/, () => upcast(1, {} as typeof schema, () => null));
  refused("INVALID_DEFINITION", /give a function/, () => upcast(1, schema, undefined as never));
});

test("upcasts may come in any order, frozen", () => {
  const first = upcast(1, schema, (old) => old);
  const Newer = defineEvent("Newer", { schema, version: 3, upcasts: [upcast(2, schema, (old) => old), first] });
  assert.deepEqual(new Set(definitionOf(Newer).upcasts.keys()), new Set([1, 2]));
  assert.ok(Object.isFrozen(first));
});

test("an event from JSON text is an event like any other", () => {
  const event = newEventFromJson(OrderPlaced, '{"orderId":"1"}', { subject: "s" });
  assert.deepEqual({ ...event }, { type: "OrderPlaced", data: { orderId: "1" }, attributes: { subject: "s" } });
  assert.ok(Object.isFrozen(event));
  assert.equal(definitionOfEvent(event), definitionOf(OrderPlaced));
  refused("INVALID_OPTION", /is no event type/, () => newEventFromJson({} as AnyEventType, "{}"));
});

test("two copies of the package in one process understand each other's events", async () => {
  const url = `${import.meta.resolve("../../src/event/define.ts")}?copy`;
  const copy = (await import(url)) as typeof define;
  assert.notEqual(copy.defineEvent, defineEvent);
  const Foreign = copy.defineEvent("Foreign", { schema });
  assert.ok(isEventType(Foreign));
  assert.equal(encode(Foreign({ orderId: "1" })).data, '{"orderId":"1"}');
  assert.equal(encode(copy.newEventFromJson(Foreign, '{ "orderId":"1"}')).data, '{ "orderId":"1"}');
});
