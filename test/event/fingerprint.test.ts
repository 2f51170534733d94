import assert from "node:assert/strict";
import { test } from "node:test";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { fingerprintOf } from "../../src/event/fingerprint.ts";
import type { AnySchema } from "../../src/event/schema.ts";

test("a fingerprint is 16 hex digits, the same each time, and another for another schema or version", () => {
  const make = (): AnySchema =>
    z.object({ a: z.string(), b: z.array(z.int()).optional(), c: z.string().min(1).default("x") });
  const print = fingerprintOf(make(), 1);
  assert.match(print, /^[0-9a-f]{16}$/);
  assert.equal(fingerprintOf(make(), 1), print);
  const others = [
    fingerprintOf(make(), 2),
    fingerprintOf(z.object({ a: z.string() }), 1),
    fingerprintOf(z.looseObject({ a: z.string() }), 1),
  ];
  others.push(
    fingerprintOf(z.object({ a: z.string().default("x") }), 1),
    fingerprintOf(z.object({ a: z.string().default("y") }), 1),
  );
  assert.equal(new Set([print, ...others]).size, 6);
});

/** JSON Schema shows none of these changes: a fingerprint would let a reader skip them. */
test("a schema that may change a value has none", () => {
  const changing: Readonly<Record<string, AnySchema>> = {
    trim: z.object({ list: z.array(z.string().trim()) }),
    lower: z.string().toLowerCase(),
    overwrite: z.string().overwrite((text) => text),
    transform: z.string().transform((text) => text),
    preprocess: z.preprocess((given) => given, z.string()),
    pipe: z.string().transform(String).pipe(z.string()),
    codec: z.codec(z.string(), z.string(), { decode: (text) => text, encode: (text) => text }),
    coerce: z.object({ n: z.coerce.number() }),
    catch: z.string().catch("x"),
    url: z.url(),
    check: z.string().check((payload) => void (payload.value = "x")),
    lazy: z.lazy(() => z.string().trim()),
    optional: z.string().trim().optional(),
    union: z.union([z.number(), z.string().trim()]),
    record: z.record(z.string().trim(), z.number()),
    catchall: z.object({}).catchall(z.string().trim()),
    arkMorph: type({ a: "string.trim" }),
    arkPipe: type("string").pipe((text) => text),
    arkDefault: type({ a: "string = 'x'" }),
    valibot: v.object({ a: v.string() }),
    date: z.date(),
  };
  for (const [name, schema] of Object.entries(changing)) assert.equal(fingerprintOf(schema, 1), "", name);
});

test("a schema that only accepts or refuses has one", () => {
  const recursive = z.object({
    name: z.string(),
    get children() {
      return z.array(recursive);
    },
  });
  const keeping: Readonly<Record<string, AnySchema>> = {
    recursive,
    refine: z.string().refine((text) => text !== ""),
    formats: z.object({ a: z.iso.datetime(), b: z.email(), c: z.uuid(), d: z.int() }),
    union: z.discriminatedUnion("kind", [z.object({ kind: z.literal("a") }), z.object({ kind: z.literal("b") })]),
    record: z.record(z.string(), z.tuple([z.number(), z.enum(["x"])])),
    json: z.json(),
    ark: type({ a: "string", "b?": "number[]" }),
  };
  for (const [name, schema] of Object.entries(keeping)) assert.match(fingerprintOf(schema, 1), /^[0-9a-f]{16}$/, name);
});
