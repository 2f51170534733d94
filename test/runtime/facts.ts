import { z } from "zod";
import { defineEvent } from "../../src/index.ts";

export const Order = defineEvent("Order", {
  schema: z.object({ key: z.string(), n: z.number() }),
  key: (order) => order.key,
});
export const Done = defineEvent("Done", {
  schema: z.object({ key: z.string(), n: z.number() }),
  key: (done) => done.key,
});
