/** A forecast attached to existing history, by another team: it imports the events' definitions, and nothing else. */
import { defineApp, defineEvent, defineSubscription, run } from "factlog";
import { z } from "zod";
import { OrderPlaced } from "../events.ts";

const ForecastMade = defineEvent("ForecastMade", {
  schema: z.object({ sku: z.string(), week: z.string(), units: z.number() }),
  key: (forecast) => forecast.sku,
});
const forecast = defineSubscription(
  "forecast",
  {
    on: OrderPlaced,
    emits: [ForecastMade],
    // Must be said: the log has history.
    from: "beginning",
    // One state over all orders, not one per key.
    order: "log",
    state: { schema: z.object({ units: z.record(z.string(), z.number()) }), initial: { units: {} } },
  },
  (event, ctx) => {
    const { units } = ctx.state.get();
    for (const { sku, quantity } of event.data.lines) units[sku] = (units[sku] ?? 0) + quantity;
    ctx.state.set({ units });
    if (ctx.mode !== "live") return;
    for (const { sku } of event.data.lines) {
      ctx.emit(ForecastMade({ sku, week: "2026-48", units: units[sku] ?? 0 }), { name: sku });
    }
  },
);
await run(defineApp({ name: "forecast", subscriptions: [forecast] }), { url: "sqlite:shop.db" });
