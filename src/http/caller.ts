import type { IncomingMessage } from "node:http";
import { type Env, realEnv } from "../env.ts";
import { FactlogError } from "../errors.ts";
import type { Awaitable, Log } from "../index.ts";
import { limits } from "../limits.ts";
import {
  type Access,
  bearerOf,
  isLoopbackAddress,
  localAccess,
  requireHost,
  requireLocal,
  unauthenticated,
} from "./access.ts";

export type Authorize = (request: Request) => Awaitable<Access | null>;

export interface CallerOptions {
  readonly authorize: Authorize | undefined;
  readonly tokens: "required" | "localhost";
  readonly hosts: readonly string[] | undefined;
}

/** Says who calls, and how often one may. */
export class Callers {
  readonly #log: Log;
  readonly #options: CallerOptions;
  readonly #env: Env;
  /** By caller: requests that are still free, and when that was counted. */
  readonly #rates = new Map<string, { free: number; atMs: number }>();

  constructor(log: Log, options: CallerOptions, env: Env = realEnv) {
    this.#log = log;
    this.#options = options;
    this.#env = env;
  }
  /** With `authorize` it alone decides. Else a page's own credentials count for nothing: see `requireSameOrigin`. */
  get decidesAlone(): boolean {
    return this.#options.authorize !== undefined;
  }

  /**
   * With `authorize` what it says; else what the token says; without any token in the log whoever is on this machine.
   * Throws UNAUTHENTICATED, MISDIRECTED, FORBIDDEN, TOO_MANY_REQUESTS.
   */
  async of(request: Request, incoming: IncomingMessage | undefined): Promise<Access> {
    const { authorize, hosts } = this.#options;
    if (hosts !== undefined) requireHost(request, hosts);
    if (authorize !== undefined) {
      const access = await authorize(request);
      if (access === null) throw unauthenticated("say who you are");
      return access;
    }
    const token = bearerOf(request);
    if (token === undefined) return this.#withoutToken(request, incoming);
    const access = await this.#ofToken(token);
    if (access === undefined) throw unauthenticated("its token is none of this log's, has expired or was revoked");
    this.#count(access.caller ?? "");
    return access;
  }

  /** The same answer as before, or undefined where it is another by now. */
  async still(request: Request, before: Access): Promise<boolean> {
    const { authorize } = this.#options;
    const token = authorize === undefined ? bearerOf(request) : undefined;
    const now =
      authorize !== undefined
        ? await authorize(request)
        : token !== undefined
          ? await this.#ofToken(token)
          : (await this.#needsToken())
            ? undefined
            : localAccess;
    return JSON.stringify(now) === JSON.stringify(before);
  }

  async #withoutToken(request: Request, incoming: IncomingMessage | undefined): Promise<Access> {
    if (!(await this.#needsToken())) {
      requireLocal(request, incoming);
      return localAccess;
    }
    if (this.#options.hosts === undefined && isLoopbackAddress(incoming?.socket.localAddress)) requireHost(request, []);
    throw unauthenticated("send `Authorization: Bearer TOKEN`; `factlog token create` makes one");
  }
  async #needsToken(): Promise<boolean> {
    return this.#options.tokens === "required" || (await this.#log.tokens.any());
  }
  async #ofToken(token: string): Promise<Access | undefined> {
    const found = await this.#log.tokens.verify(token);
    if (found === undefined) return undefined;
    const { id, name, scopes, group } = found;
    return { scopes, ...(group === undefined ? {} : { group }), caller: `${name} (token ${id})` };
  }

  /** A token's requests of this process: one second's may come at once. */
  #count(caller: string): void {
    const perMs = limits.tokenRequestsPerSecond / 1_000;
    const nowMs = this.#env.monotonic();
    const { free, atMs } = this.#rates.get(caller) ?? { free: limits.tokenRequestsPerSecond, atMs: nowMs };
    const left = Math.min(limits.tokenRequestsPerSecond, free + (nowMs - atMs) * perMs) - 1;
    if (left < 0)
      throw new FactlogError(
        "TOO_MANY_REQUESTS",
        `a token may be used ${limits.tokenRequestsPerSecond} times a second here: come again, or send batches.`,
        { retryable: true },
      );
    if (this.#rates.size > 10 * limits.tokensMax) this.#rates.clear();
    this.#rates.set(caller, { free: left, atMs: nowMs });
  }
}
