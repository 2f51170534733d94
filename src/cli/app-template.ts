/** What `factlog init` writes. */
export const appTemplate = `// \`npx factlog dev app.ts\` runs this and restarts when you save it.
import { defineApp, defineEvent, defineSubscription } from "factlog";
import { z } from "zod"; // or any other Standard Schema library

export const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), sku: z.string() }),
  key: (order) => order.orderId, // what must stay in order
  id: (order) => order.orderId, // published twice = one fact
});

const warehouse = defineSubscription("warehouse", { on: OrderPlaced }, async (event, ctx) => {
  // Delivered at least once: give receivers the key, which is the same at every attempt.
  console.log(\`reserve \${event.data.sku} for \${event.data.orderId}, key \${ctx.idempotencyKey("reserve")}\`);
});

// A pure value: importing this file opens nothing and starts nothing.
export default defineApp({ name: "shop", subscriptions: [warehouse] });
`;
