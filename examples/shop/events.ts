/** What can happen in the shop. Events are facts: named in the past tense, never changed once stored. */
import { defineEvent } from "factlog";
import { z } from "zod";

export const OrderPlaced = defineEvent("OrderPlaced", {
  description: "A customer has bought some CDs.",
  schema: z.object({
    orderId: z.string(),
    customerId: z.string(),
    /** YYYY-MM-DD */
    date: z.iso.date(),
    cds: z.int().nonnegative(),
    /** Money is counted in whole cents. */
    cents: z.int().nonnegative(),
  }),
  // Published twice is one fact: a web server that is not sure whether its order got through simply sends it again.
  id: (order) => order.orderId,
  // What must stay in order. Whoever reads this type sees each customer's purchases as they were made: the loyalty
  // account needs that, and of the last CD in stock the earlier order should get it. Customers do not wait for each other.
  key: (order) => order.customerId,
});

// From here on the order itself is what matters: shipping joins payment and stock of one order, and a customer's next
// order need not wait for it. A subscription cannot choose another key, so these facts are keyed anew.
const ofOrder = { schema: z.object({ orderId: z.string() }), key: (data: { orderId: string }) => data.orderId };

export const PaymentCaptured = defineEvent("PaymentCaptured", ofOrder);
export const StockReserved = defineEvent("StockReserved", ofOrder);
export const OrderShipped = defineEvent("OrderShipped", ofOrder);

/** The time that a customer has to pay is over, whether he has or not. */
export const PaymentDue = defineEvent("PaymentDue", ofOrder);
/** Nobody has paid in time. */
export const OrderExpired = defineEvent("OrderExpired", ofOrder);
