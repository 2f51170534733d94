import { Webhook as Verifier, WebhookVerificationError } from "standardwebhooks";
import { FactlogError } from "../errors.ts";
import { isSecret } from "./target.ts";

/**
 * Says the id of a message that one of these secrets signed by Standard Webhooks within the last five minutes; null of any other.
 * Throws INVALID_OPTION where a secret is none; never shows one.
 */
export function standardWebhookId(
  secrets: readonly string[],
): (header: (name: string) => string | null, body: string) => string | null {
  if (secrets.length === 0 || !secrets.every((secret) => typeof secret === "string" && isSecret(secret)))
    throw new FactlogError("INVALID_OPTION", 'secret is none: give "whsec_" and 24 to 64 random bytes in base64.');
  const verifiers = secrets.map((secret) => new Verifier(secret));
  return (header, body) => {
    const [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
    if (!id || !timestamp || !signature || !/^\d{1,12}$/u.test(timestamp)) return null;
    const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
    return verifiers.some((verifier) => signs(verifier, headers, body)) ? id : null;
  };
}

function signs(verifier: Verifier, headers: Record<string, string>, body: string): boolean {
  try {
    verifier.verify(body, headers, { jsonParse: false });
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}
