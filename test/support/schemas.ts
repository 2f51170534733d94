import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import type { AnySchema } from "../../src/event/schema.ts";

/** What each library calls the same thing: every promise about schemas is tested with all of them. */
export interface Library {
  readonly name: string;
  /** `{ orderId: string, lines: { sku: string }[] }` */
  readonly order: AnySchema;
  /** `{ orderId: string, currency: string = "EUR" }` */
  readonly withDefault: AnySchema;
  /** `{ at: string -> Date }` */
  readonly withDate: AnySchema;
  /** Whether it tells its JSON Schema. */
  readonly tells: boolean;
}

export const libraries: readonly Library[] = [
  {
    name: "zod",
    order: z.object({ orderId: z.string(), lines: z.array(z.object({ sku: z.string() })) }),
    withDefault: z.object({ orderId: z.string(), currency: z.string().default("EUR") }),
    withDate: z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }),
    tells: true,
  },
  {
    name: "valibot",
    order: v.object({ orderId: v.string(), lines: v.array(v.object({ sku: v.string() })) }),
    withDefault: v.object({ orderId: v.string(), currency: v.optional(v.string(), "EUR") }),
    withDate: v.object({
      at: v.pipe(
        v.string(),
        v.isoTimestamp(),
        v.transform((text) => new Date(text)),
      ),
    }),
    tells: false,
  },
  {
    name: "arktype",
    order: type({ orderId: "string", lines: type({ sku: "string" }).array() }),
    withDefault: type({ orderId: "string", currency: "string = 'EUR'" }),
    withDate: type({ at: "string.date.iso.parse" }),
    tells: true,
  },
];
