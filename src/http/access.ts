import type { IncomingMessage } from "node:http";
import { FactlogError } from "../errors.ts";
import { covers } from "../event/pattern.ts";

/** What a caller may see and do. `*` in a scope stands for anything: `publish:Order*`, `read:*`, `*`. */
export interface Access {
  /** Of `tokenScopes`: `publish:TYPE`, `read:events`, `read:dead` and so on. */
  readonly scopes: readonly string[];
  /** Sees and publishes events of this group only. */
  readonly group?: string;
  /** Sees and publishes events of this correlation only. */
  readonly correlationId?: string;
  /** Who it is, as request logs name it, and as answers to approvals are signed. Streams and requests are counted by it. */
  readonly caller?: string;
}

/** The token of `Authorization: Bearer TOKEN`; undefined where there is no such header. Throws UNAUTHENTICATED on others. */
export function bearerOf(request: Request): string | undefined {
  const header = request.headers.get("authorization");
  if (header === null) return undefined;
  const [, token] = /^bearer +([\w.~+/=-]+) *$/iu.exec(header) ?? [];
  if (token === undefined) throw unauthenticated("send `Authorization: Bearer TOKEN`");
  return token;
}
export const unauthenticated = (advice: string): FactlogError =>
  new FactlogError("UNAUTHENTICATED", `this caller is not known: ${advice}.`);

/** Of a caller on this machine where nobody else may call. */
export const localAccess: Access = Object.freeze({ scopes: Object.freeze(["*"]) });

export function allows(access: Access, scope: string): boolean {
  return access.scopes.some((granted) => covers(granted, scope));
}

export function requireScope(access: Access, scope: string): void {
  if (!allows(access, scope)) throw new FactlogError("FORBIDDEN", `this caller has no right to ${scope}.`);
}

/** For what concerns the whole log. */
export function requireUnlimited({ group, correlationId }: Access): void {
  if (group !== undefined || correlationId !== undefined)
    throw new FactlogError("FORBIDDEN", "this caller sees a part of the log only: this is about all of it.");
}

/** Signs of a proxy in front: whoever is behind it is not known to be on this machine. */
const forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/**
 * Without anybody who tells callers apart, only this machine may call: by the address of the connection, and by the name the
 * caller knows us under, since a page elsewhere can let its own name point here (DNS rebinding).
 */
export function requireLocal(request: Request, incoming: IncomingMessage | undefined): void {
  if (incoming === undefined)
    throw new FactlogError(
      "FORBIDDEN",
      `a fetch handler cannot see who calls, so it serves nobody as it is: ${advice}`,
    );
  requireHost(request, []);
  const proxied = forwarded.some((name) => request.headers.has(name));
  if (proxied || !isLoopbackAddress(incoming.socket.remoteAddress))
    throw new FactlogError("FORBIDDEN", `only calls from this machine are answered: ${advice}`);
}

const advice = "give httpApi an `authorize`, or use access tokens.";

/** Throws MISDIRECTED where the caller knows us under another name than this machine's own or one of these. */
export function requireHost(request: Request, hosts: readonly string[]): void {
  const host = request.headers.get("host") ?? "";
  if (isLoopbackHost(host) || hosts.includes(host.replace(/:\d{1,5}$/u, "").toLowerCase())) return;
  const names = hosts.length === 0 ? "localhost" : `localhost, ${hosts.join(", ")}`;
  throw new FactlogError("MISDIRECTED", `only calls to ${names} are answered here: ${advice}`);
}

function isLoopbackHost(host: string): boolean {
  const name = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/iu.exec(host)?.[1]?.toLowerCase();
  return name === "localhost" || name === "[::1]" || (name !== undefined && /^127(?:\.\d{1,3}){3}$/u.test(name));
}

export function isLoopbackAddress(address: string | undefined): boolean {
  return address === "::1" || (address !== undefined && /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/u.test(address));
}

/**
 * What changes something must not be sent by a page of another origin with the credentials of whoever looks at it; without
 * `authorize` such a page may not even ask.
 */
export function requireSameOrigin(request: Request, local: boolean): void {
  if (!local && (request.method === "GET" || request.method === "HEAD")) return;
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const foreign =
    site === null
      ? origin !== null && hostOf(origin) !== (request.headers.get("host") ?? new URL(request.url).host).toLowerCase()
      : site !== "same-origin" && site !== "none";
  if (foreign) throw new FactlogError("FORBIDDEN", "calls from pages of another origin are not answered.");
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
