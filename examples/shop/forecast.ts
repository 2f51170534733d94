/**
 * Another team's app, attached to the shop's history years later without a change to the shop: how many CDs a week sells.
 * It needs nothing but the definition of the event.
 */
import { defineApp, defineSubscription, sql } from "factlog";
import { OrderPlaced } from "./events.ts";

const sales = defineSubscription(
  "forecast",
  // It starts with the first fact ever. The log has many: a new subscription must say where it wants to start.
  { on: OrderPlaced, from: "beginning", order: "none", concurrency: 64 },
  (event, ctx) => {
    const { date, cds } = event.data;
    ctx.write(sql`insert into forecast (event_id, week, cds) values (${event.id}, ${mondayOf(date)}, ${cds})`);
  },
);

function mondayOf(day: string): string {
  const date = new Date(day);
  date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  return date.toISOString().slice(0, 10);
}

const forecast = defineApp({ name: "forecast", subscriptions: [sales] });
export default forecast;
