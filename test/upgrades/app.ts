/** What the fixtures were written with. Kept as it is for as long as they are. */
import { z } from "zod";
import { type App, defineApp, defineEvent, defineSubscription, sql, upcast } from "../../src/index.ts";

const keyed = { key: z.string(), n: z.number() };
const key = (data: { readonly key: string }): string => data.key;

export const Order = defineEvent("Order", { schema: z.object(keyed), key, id: ({ n }) => `order-${n}` });
export const BillOfOld = defineEvent("Bill", { schema: z.object({ ...keyed, cents: z.number() }), key });
export const Bill = defineEvent("Bill", {
  version: 2,
  schema: z.object({ ...keyed, amount: z.object({ cents: z.number(), currency: z.string() }) }),
  upcasts: [
    upcast(1, z.object({ ...keyed, cents: z.number() }), ({ cents, ...rest }) => ({
      ...rest,
      amount: { cents, currency: "EUR" },
    })),
  ],
  key,
});
export const Loose = defineEvent("Loose", { schema: z.object({ any: z.unknown() }), group: () => "tenant-1" });
export const Booked = defineEvent("Booked", { schema: z.object(keyed), key });

/** `mended`: no handler fails or hangs any more. `hangs`: what one handler awaits, in vain. */
export function fixtureApp(mended: boolean, hangs: () => Promise<void>): App {
  const refuse = (wrong: boolean): void => {
    if (wrong && !mended) throw new Error("not mended yet");
  };
  const once = { attemptsMax: 1 };
  return defineApp({
    name: "upgrades",
    events: [Loose],
    subscriptions: [
      defineSubscription(
        "till",
        {
          on: [Order, Bill],
          emits: [Booked],
          from: "beginning",
          state: { schema: z.object({ sum: z.number() }), initial: { sum: 0 } },
        },
        (event, ctx) => {
          const { key, n } = event.data;
          ctx.state.set({ sum: ctx.state.get().sum + n });
          ctx.write(sql`INSERT INTO booked(id, n) VALUES (${event.id}, ${n})`);
          ctx.emit(Booked({ key, n }));
        },
      ),
      defineSubscription(
        "filtered",
        { on: Order, from: "beginning", filter: ({ data }) => data.n % 2 === 0 },
        () => {},
      ),
      defineSubscription("hold", { on: Order, from: "beginning", retry: once }, ({ data }) =>
        refuse(data.key === "k1"),
      ),
      defineSubscription("skip", { on: Order, from: "beginning", retry: once, onExhausted: "skip-event" }, ({ data }) =>
        refuse(data.key === "k2"),
      ),
      defineSubscription(
        "stop",
        { on: Bill, from: "beginning", retry: once, order: "log", onExhausted: "stop" },
        (bill) => refuse(bill.data.n === 101),
      ),
      defineSubscription("patient", { on: Order, from: "beginning", retry: { backoff: ["1d"] } }, ({ data }) =>
        refuse(data.n === 3),
      ),
      defineSubscription("slow", { on: Order, from: "beginning", retry: { backoff: [1] } }, async ({ data }, ctx) => {
        if (data.n !== 5 || mended) return;
        if (ctx.attempt === 1) throw new Error("again");
        await hangs();
      }),
    ],
  });
}
export const bookedTable = "CREATE TABLE booked(id TEXT NOT NULL, n INTEGER NOT NULL)";
