import { FactlogError } from "../errors.ts";
import { addressIn, isPublic, notPublic } from "./address.ts";

/** Where webhooks go. Signed by Standard Webhooks: the receiver verifies with the same secret. */
export interface Webhook {
  /** https; http only with `allowPrivate`. */
  readonly webhook: string;
  /** "whsec_" and 24 to 64 random bytes in base64. */
  readonly secret: string;
  /** It may stand on this machine or in a private network, and speak http. Default false. */
  readonly allowPrivate?: boolean;
}

/** Throws INVALID_OPTION, ADDRESS_PRIVATE for what can be seen to be wrong without asking the network; never shows the secret. */
export function checkWebhook(given: Webhook): void {
  for (const option of Object.keys(given)) {
    if (!["webhook", "secret", "allowPrivate"].includes(option)) throw refusal(`${option} is no option of a webhook`);
  }
  const { webhook, secret, allowPrivate } = given;
  if (allowPrivate !== undefined && typeof allowPrivate !== "boolean") throw refusal("allowPrivate is no boolean");
  // The URL parser would drop tabs and line ends, and take a backslash for a slash: who writes them hides something.
  if (typeof webhook !== "string" || /[\s\\]/.test(webhook) || !URL.canParse(webhook))
    throw refusal("webhook is no URL");
  const { protocol, username, password, hostname } = new URL(webhook);
  if (protocol !== "https:" && !(protocol === "http:" && allowPrivate === true))
    throw refusal(`webhook is ${protocol}: give https, or http with \`allowPrivate: true\``);
  if (username !== "" || password !== "") throw refusal("webhook holds a user name or password: sign with the secret");
  const address = addressIn(hostname);
  if (allowPrivate !== true && address !== undefined && !isPublic(address)) throw notPublic(hostname);
  if (typeof secret !== "string" || !isSecret(secret))
    throw refusal('secret is none: give "whsec_" and 24 to 64 random bytes in base64');
}

/** "whsec_" and 24 to 64 bytes. */
export function isSecret(text: string): boolean {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  if (base64 === undefined || base64.length % 4 !== 0) return false;
  const { length } = Buffer.from(base64, "base64");
  return length >= 24 && length <= 64;
}

const refusal = (message: string): FactlogError => new FactlogError("INVALID_OPTION", `${message}.`);
