import { type Duration, durationMs } from "../duration.ts";
import type { Engine } from "../engine/engine.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import {
  type AccessToken,
  digestOf,
  type FreshAccessToken,
  idIn,
  isTokenOf,
  mint,
  requireRights,
  shownToken,
  type StoredToken,
} from "./access-token.ts";
import { auditEvent } from "./audit.ts";
import { moveEntry } from "./move-entry.ts";

export interface TokenOptions {
  /** Who or what it is for. */
  readonly name: string;
  /** At least one: `publish:TYPE`, `read:events`, ... `*` stands for anything. */
  readonly scopes: readonly string[];
  /** Sees and publishes events of this group only. */
  readonly group?: string;
  /** From now on. Default: it does not expire. */
  readonly expiresIn?: Duration;
  /** Who makes it: kept in the log. */
  readonly by?: string;
}
export interface RotateOptions {
  /** How long the old one goes on working beside the new one. Default "24h"; 0: not at all. */
  readonly grace?: Duration;
  /** Of the new one. Default: as long as the old one was made for. */
  readonly expiresIn?: Duration;
  readonly by?: string;
}

/** One token with its body as it stands in the ledger. */
interface Kept {
  readonly body: string;
  readonly stored: StoredToken;
}
const kind = "token";

/**
 * Access tokens of a log, for whoever calls over HTTP. They stand in the log's own store, as digests. Every change is an event
 * in the log (`factlog.operator.token-*`).
 */
export class Tokens {
  readonly #env: Env;
  readonly #engine: Engine;
  readonly #source: string;
  #looked: Promise<ReadonlyMap<string, Kept>> | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** When each was used last, where that is not written down yet. */
  readonly #used = new Map<string, number>();

  constructor(env: Env, engine: Engine, source: string) {
    this.#env = env;
    this.#engine = engine;
    this.#source = source;
  }

  /** Makes a token and shows it, this once. Throws INVALID_OPTION. */
  async create({ name, scopes, group, expiresIn, by }: TokenOptions): Promise<FreshAccessToken> {
    requireRights(name, scopes, group);
    const kept = await this.#look();
    if (kept.size >= limits.tokensMax)
      throw new FactlogError("INVALID_OPTION", `a log has at most ${limits.tokensMax} tokens: revoke some.`);
    const nowMs = this.#env.now();
    const stored = {
      name,
      scopes: [...scopes],
      ...(group === undefined ? {} : { group }),
      createdMs: nowMs,
      ...(expiresIn === undefined ? {} : { expiresMs: nowMs + positive(expiresIn, "expiresIn") }),
    };
    return this.#put(stored, "token-created", by);
  }

  /** All there are, expired ones included, oldest first. */
  async list(): Promise<readonly AccessToken[]> {
    const kept = await this.#look();
    return [...kept]
      .toSorted(([, a], [, b]) => a.stored.createdMs - b.stored.createdMs)
      .map(([id, { stored }]) => shownToken(id, stored));
  }

  /** Whether there is any, expired ones included: then nobody gets in without one. At most a second old. */
  async any(): Promise<boolean> {
    return (await this.#recent()).size > 0;
  }

  /** It works no longer: at once in this process, within a second in others. Throws NOT_FOUND. */
  async revoke(id: string, { by }: { readonly by?: string } = {}): Promise<void> {
    await this.#change(id, () => undefined, "token-revoked", by);
  }

  /**
   * A new token with the rights of an old one, which goes on working for the time of grace. Throws NOT_FOUND.
   */
  async rotate(id: string, { grace = "24h", expiresIn, by }: RotateOptions = {}): Promise<FreshAccessToken> {
    const { stored } = await this.#find(id);
    const nowMs = this.#env.now();
    const graceMs = durationMs(grace, "grace");
    const lifeMs = stored.expiresMs === undefined ? undefined : stored.expiresMs - stored.createdMs;
    const newMs = expiresIn === undefined ? lifeMs : positive(expiresIn, "expiresIn");
    const { digest: _, usedMs: _usedMs, expiresMs: _expiresMs, ...rights } = stored;
    const life = newMs === undefined ? {} : { expiresMs: nowMs + newMs };
    const fresh = await this.#put({ ...rights, createdMs: nowMs, ...life }, "token-created", by, id);
    const ended = (one: StoredToken): StoredToken => ({
      ...one,
      expiresMs: Math.min(one.expiresMs ?? Number.POSITIVE_INFINITY, nowMs + graceMs),
    });
    await this.#change(id, ended, "token-rotated", by);
    return fresh;
  }

  /** The token that this text is, if it may be used now. Compared in constant time. At most a second old. */
  async verify(token: string): Promise<AccessToken | undefined> {
    const id = idIn(token);
    const found = (await this.#recent()).get(id ?? "");
    const isToken = isTokenOf(found?.stored, token);
    const nowMs = this.#env.now();
    if (id === undefined || found === undefined || !isToken) return undefined;
    const { stored } = found;
    if (stored.expiresMs !== undefined && stored.expiresMs <= nowMs) return undefined;
    this.#remember(id, found, nowMs);
    return shownToken(id, stored);
  }

  /** Written down now and then; where it cannot be, the next use tries again. */
  #remember(id: string, { body, stored }: Kept, nowMs: number): void {
    const writtenMs = Math.max(stored.usedMs ?? 0, this.#used.get(id) ?? 0);
    if (nowMs - writtenMs < limits.tokenUsedMs) return;
    this.#used.set(id, nowMs);
    const used = { ...stored, usedMs: nowMs };
    const entering = { kind, name: id, seen: body, body: JSON.stringify(used), events: [] };
    void this.#engine.ledger.enter(entering).then(
      () => this.#forget(),
      () => this.#used.delete(id),
    );
  }

  async #put(
    rights: Omit<StoredToken, "digest">,
    act: string,
    by: string | undefined,
    instead?: string,
  ): Promise<FreshAccessToken> {
    const { id, token } = mint();
    const stored: StoredToken = { ...rights, digest: digestOf(token).toString("hex") };
    const { name, scopes, group, expiresMs } = stored;
    // A fresh id stands nowhere yet.
    await this.#move(id, () => ({ next: stored, act, facts: { name, by, scopes, group, expiresMs, instead } }));
    return { ...shownToken(id, stored), token };
  }

  /** What stood there may move meanwhile, as its last use is written down. */
  async #change(
    id: string,
    change: (stored: StoredToken) => StoredToken | undefined,
    act: string,
    by: string | undefined,
  ): Promise<void> {
    await this.#move(id, (seen) => {
      if (seen === undefined) throw unknownToken(id);
      const stored = JSON.parse(seen) as StoredToken;
      const next = change(stored);
      return { next, act, facts: { name: stored.name, by, expiresMs: next?.expiresMs } };
    });
  }
  async #move(
    id: string,
    to: (seen: string | undefined) => {
      readonly next: StoredToken | undefined;
      readonly act: string;
      readonly facts: Readonly<Record<string, unknown>>;
    },
  ): Promise<void> {
    try {
      await moveEntry(this.#engine.ledger, kind, id, (seen) => {
        const { next, act, facts } = to(seen);
        const body = next === undefined ? undefined : JSON.stringify(next);
        if (body !== undefined && Buffer.byteLength(body) > limits.entryBytesMax)
          throw new FactlogError("INVALID_OPTION", "name and scopes are too long: give fewer scopes.");
        return { body, events: [auditEvent(this.#env, this.#source, act, { token: id, ...facts })] };
      });
    } finally {
      this.#forget();
    }
  }

  async #find(id: string): Promise<Kept> {
    const found = (await this.#look()).get(id);
    if (found !== undefined) return found;
    throw unknownToken(id);
  }

  /** Calls that come while it looks share the look. */
  #recent(): Promise<ReadonlyMap<string, Kept>> {
    if (this.#env.monotonic() - this.#lookedMs < limits.tokensLookMs && this.#looked !== undefined) return this.#looked;
    this.#lookedMs = this.#env.monotonic();
    const looking = this.#look();
    this.#looked = looking;
    looking.catch(() => this.#looked === looking && this.#forget());
    return looking;
  }
  #forget(): void {
    this.#looked = undefined;
  }
  async #look(): Promise<ReadonlyMap<string, Kept>> {
    const entries = await this.#engine.ledger.entries(kind);
    return new Map(entries.map(({ name, body }) => [name, { body, stored: JSON.parse(body) as StoredToken }]));
  }
}

const unknownToken = (id: string): FactlogError =>
  new FactlogError("NOT_FOUND", `there is no token ${JSON.stringify(id)}: see \`factlog token list\`.`);

function positive(duration: Duration, name: string): number {
  const ms = durationMs(duration, name);
  if (ms > 0) return ms;
  throw new FactlogError("INVALID_OPTION", `${name} is 0: give a longer time.`);
}
