import { createHash } from "node:crypto";

/**
 * Names a call by what is asked. Calls that are under way at one time come in another order in a later run; what each of
 * them asks stays the same, so each finds its own answer, and never another one's.
 */
export function callName(kind: string, asked: unknown): string {
  const text = JSON.stringify(asked, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
  );
  return `${kind}.${createHash("sha256").update(text).digest("hex").slice(0, 12)}`;
}
