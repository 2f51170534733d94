import { createHash, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { FactlogError } from "../errors.ts";
import { checkName } from "../event/envelope.ts";
import { covers } from "../event/pattern.ts";
import { limits } from "../limits.ts";
import { freshSecret } from "../uuid.ts";

/** An access token as everybody may see it: what it says is not in it. */
export interface AccessToken {
  /** The part of it that is no secret: `factlog_ID_...`. */
  readonly id: string;
  /** Who or what it is for. */
  readonly name: string;
  /** See `factlog/http`: `publish:TYPE`, `read:events`, `*` and so on. */
  readonly scopes: readonly string[];
  /** Sees and publishes events of this group only. */
  readonly group: string | undefined;
  readonly createdAt: Date;
  /** Undefined: it does not expire. */
  readonly expiresAt: Date | undefined;
  /** To the minute; undefined: never. */
  readonly lastUsedAt: Date | undefined;
}
/** With the token itself, which is shown this once: only its SHA-256 is kept. */
export interface FreshAccessToken extends AccessToken {
  readonly token: string;
}

/** What scopes there are. `TYPE` stands for the name of an event type; `*` in a scope stands for anything. */
export const tokenScopes = [
  "publish:TYPE",
  "read:events",
  "read:status",
  "read:dead",
  "read:metrics",
  "read:approvals",
  "read:delayed",
  "admin:dead",
  "admin:subscriptions",
  "admin:approvals",
  "admin:delayed",
  "admin:tokens",
] as const;

/** What is stored of a token. */
export interface StoredToken {
  readonly name: string;
  /** SHA-256 of the whole token, hexadecimal. */
  readonly digest: string;
  readonly scopes: readonly string[];
  readonly group?: string;
  readonly createdMs: number;
  readonly expiresMs?: number;
  readonly usedMs?: number;
}

const shape = /^factlog_([0-9a-f]{12})_([0-9a-f]{64})([0-9a-f]{8})$/u;
const sumOf = (text: string): string => crc32(text).toString(16).padStart(8, "0");
export const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** `factlog_ID_SECRET` and a checksum, by which scanners know it from other text. */
export function mint(): { readonly id: string; readonly token: string } {
  const id = freshSecret().slice(0, 12);
  const text = `factlog_${id}_${freshSecret()}`;
  return { id, token: text + sumOf(text) };
}

/** The id in a token; undefined where the text is none, which needs no look at what is stored. */
export function idIn(token: string): string | undefined {
  if (token.length > 128) return undefined;
  const id = shape.exec(token)?.[1];
  return id !== undefined && token.endsWith(sumOf(token.slice(0, -8))) ? id : undefined;
}

const nobody = "0".repeat(64);
/** Whether this is the token of that digest. Takes as long whether there is one, and wherever they differ. */
export function isTokenOf(stored: StoredToken | undefined, token: string): stored is StoredToken {
  return timingSafeEqual(digestOf(token), Buffer.from(stored?.digest ?? nobody, "hex")) && stored !== undefined;
}

/** Throws INVALID_OPTION and INVALID_ATTRIBUTE. */
export function requireRights(name: string, scopes: readonly string[], group: string | undefined): void {
  checkName("name", name);
  if (group !== undefined) checkName("group", group);
  if (!Array.isArray(scopes) || scopes.length === 0 || scopes.length > 100)
    throw new FactlogError("INVALID_OPTION", `give 1 to 100 scopes: ${tokenScopes.join(", ")}, or *.`);
  for (const scope of scopes) requireScope(scope);
}

function requireScope(scope: unknown): void {
  const known =
    typeof scope === "string" &&
    scope.length <= limits.nameLengthMax + "publish:".length &&
    (/^publish:./su.test(scope) || tokenScopes.some((each) => covers(scope, each)));
  if (!known)
    throw new FactlogError(
      "INVALID_OPTION",
      `${JSON.stringify(scope)} is no scope: give ${tokenScopes.join(", ")}, or *.`,
    );
}

export const shownToken = (id: string, stored: StoredToken): AccessToken => ({
  id,
  name: stored.name,
  scopes: stored.scopes,
  group: stored.group,
  createdAt: new Date(stored.createdMs),
  expiresAt: stored.expiresMs === undefined ? undefined : new Date(stored.expiresMs),
  lastUsedAt: stored.usedMs === undefined ? undefined : new Date(stored.usedMs),
});
