import { idConflict } from "../../event/codec.ts";
import { FactlogError } from "../../errors.ts";
import type { Command, CommandResult, Definition, DeliveryRef } from "../../engine/ledger.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { ChangeWriter } from "./changes.ts";
import { Lost, type Run } from "./connection.ts";
import {
  decodeDefinition,
  decodeStart,
  encodeDefinition,
  encodeStart,
  isSameDefinition,
} from "../../engine/definition.ts";
import { unknownOutcome } from "./postgres-error.ts";
import { decodeRanges } from "../../engine/ranges.ts";
import { tablesOfSubscription } from "./schema.ts";
import { inTransaction, type Store } from "./store.ts";

type Named<Kind extends Command["kind"]> = Extract<Command, { kind: Kind }>;
type Start = Named<"define">["start"];

interface Subscription {
  readonly sub: number;
  readonly gen: number;
  readonly newest: number;
}

/**
 * Acts from outside, each a transaction of a few round trips; what they throw rolls them back with their audit event.
 * They come through the gate, since what they look at must not move between two of them.
 */
export class Commands {
  readonly #store: Store;
  readonly #slots: number;
  readonly #sharesLog: boolean;
  readonly #writer: ChangeWriter;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#slots = options.slots;
    this.#sharesLog = options.sharesLog;
    this.#writer = new ChangeWriter(store.names, options);
  }

  async run(command: Command): Promise<CommandResult> {
    const store = this.#store;
    const events = command.kind !== "define" && this.#sharesLog ? [command.audit] : [];
    const work = async (run: Run): Promise<CommandResult> => {
      await store.names.ensure(run, events);
      return inTransaction(run, "BEGIN", async () => {
        const act = new Act(store, run, this.#slots);
        await run(store.sql("SELECT S.gate()"));
        if (command.kind === "define") return act.define(command);
        const result = await act.perform(command);
        await this.#audit(run, command.audit);
        return result;
      });
    };
    try {
      // A definition that was made finds itself the second time; an act of an operator would be refused.
      return await (command.kind === "define" ? store.writes.repeat(work) : store.writes.run(work));
    } catch (error) {
      throw error instanceof Lost ? unknownOutcome(error.cause, store.location) : store.error(error);
    }
  }

  async #audit(run: Run, event: EncodedEvent): Promise<void> {
    const { env, channel } = this.#store;
    const json = JSON.stringify(this.#writer.event(event));
    if (!this.#sharesLog) {
      const [row] = await run<[boolean]>(this.#store.sql("SELECT same FROM S.enqueue($1)"), [json]);
      if (!row![0]) throw idConflict(event, 0);
      return;
    }
    const [head] = await run<[number]>(this.#store.sql("SELECT position FROM S.head FOR NO KEY UPDATE"));
    const values = [json, head![0] + 1, env.now()];
    const [row] = await run<[boolean, boolean]>(this.#store.sql("SELECT fresh, same FROM S.put($1, $2, $3)"), values);
    if (!row![1]) throw idConflict(event, 0);
    if (row![0]) await run(this.#store.sql("SELECT S.raise_head($1, $2, $3)"), [head![0], head![0] + 1, channel]);
  }
}

/** One command, inside its transaction. */
export class Act {
  readonly #store: Store;
  readonly #run: Run;
  readonly #slots: number;

  constructor(store: Store, run: Run, slots: number) {
    this.#store = store;
    this.#run = run;
    this.#slots = slots;
  }

  async perform(command: Exclude<Command, { kind: "define" }>): Promise<CommandResult> {
    switch (command.kind) {
      case "retire":
        return this.#retire(command);
      case "rename":
        return this.#rename(command);
      case "redrive":
        await this.#requireDead(command.delivery, command.rowToken);
        if ((command.drop ?? []).length > 0) await this.#dropSteps(command.delivery, command.drop ?? []);
        await this.#onRow("S.redrive_row(d, $5, $6)", command.delivery, command.nowMs, command.fresh === true);
        return this.#ofDelivery(command.delivery);
      case "answer":
        return this.#answer(command);
      case "discard":
        await this.#requireDead(command.delivery, command.rowToken);
        await this.#onRow("S.close_row(d, $5)", command.delivery, "discarded");
        return this.#ofDelivery(command.delivery);
    }
  }

  async define(command: Named<"define">): Promise<CommandResult> {
    const known = await (command.sub === undefined ? this.#find(command.name) : this.#byId(command.sub));
    if (known === undefined && command.sub !== undefined) throw notThere(`the subscription ${command.name}`);
    if (known === undefined) return this.#resultOf(await this.#create(command), { created: true });
    const revisions = (
      await this.#query<[string]>("SELECT definition FROM S.revision WHERE sub = $1 ORDER BY revision", known.sub)
    ).map(([text]) => decodeDefinition(text));
    const newest = revisions[known.newest - 1]!;
    if (newest.slots !== command.definition.slots) {
      throw conflict(`${command.name} was created with slots ${newest.slots}: retire it, or take another name.`);
    }
    const older = revisions.findIndex((other) => isSameDefinition(other, command.definition)) + 1;
    const revision = older > 0 ? older : revisions.length + 1;
    if (older === 0) await this.#addRevision(known.sub, revision, command.definition);
    const renews = older === 0 || (older !== known.newest && command.reinstate === true);
    if (renews) await this.#renew(known, revision, newest.types, command);
    return this.#resultOf({ ...known, newest: renews ? revision : known.newest }, { revision });
  }

  async #create({ name, definition, start, baseline }: Named<"define">): Promise<Subscription> {
    const [row] = await this.#query<[number]>(
      "INSERT INTO S.subscription(name, gen, newest) VALUES ($1, 1, 1) RETURNING id",
      name,
    );
    const sub = row![0];
    await this.#addRevision(sub, 1, definition);
    const slots = Array.from({ length: definition.slots === "one" ? 1 : this.#slots }, (_, slot) => slot);
    await this.#query(
      `INSERT INTO S.slot(sub, gen, slot, low, claim)
       SELECT $1::integer, 1, u.slot, u.low, u.low FROM unnest($2::integer[], $3::bigint[]) AS u(slot, low)`,
      sub,
      slots,
      slots.map((slot) => start.get(slot) ?? 0),
    );
    for (const type of definition.types) await this.#count({ sub, gen: 1 }, type, start, baseline.get(type) ?? 0);
    return { sub, gen: 1, newest: 1 };
  }

  /**
   * Makes a revision the newest. Types it adds count from `start`; what they matched earlier stays conserved. Workers of
   * the old revision lose their slots: their progress would pass over events of the added types.
   */
  async #renew(
    known: Subscription,
    revision: number,
    before: readonly string[],
    command: Named<"define">,
  ): Promise<void> {
    const { definition, start, baseline } = command;
    await this.#query("UPDATE S.subscription SET newest = $1 WHERE id = $2", revision, known.sub);
    const added = definition.types.filter((type) => !before.includes(type));
    if (added.length === 0) return;
    const since = await this.#notBehind(known, start);
    for (const type of added) {
      const passed = await this.#passedOver(definition, type, start, since);
      await this.#count(known, type, since, (baseline.get(type) ?? 0) + passed);
    }
    await this.#query(
      "UPDATE S.slot SET session = NULL, token = token + 1, claim = low WHERE sub = $1 AND gen = $2",
      known.sub,
      known.gen,
    );
  }

  /** A type counts after `since`; what it matched before stays counted. */
  async #count(
    { sub, gen }: { sub: number; gen: number },
    type: string,
    since: Start,
    baseline: number,
  ): Promise<void> {
    await this.#query(
      `INSERT INTO S.counted(sub, gen, type, since, baseline)
       SELECT $1::integer, $2::integer, $3::text, $4::text, $5::bigint - coalesce(sum(m.n), 0) FROM S.matched m
         WHERE m.sub = $1 AND m.gen = $2 AND m.type = $3
       ON CONFLICT (sub, gen, type) DO UPDATE SET since = excluded.since, baseline = excluded.baseline`,
      sub,
      gen,
      type,
      encodeStart(since),
      baseline,
    );
  }

  /**
   * `start`, but where workers of the older revision have come further: they passed over the added types there. Locks
   * the slots, so that none comes further meanwhile, and for no key share: they may change hands next.
   */
  async #notBehind(known: Subscription, start: Start): Promise<Start> {
    const since = new Map(start);
    const reached = await this.#query<[number, number, string]>(
      "SELECT slot, low, ranges FROM S.slot WHERE sub = $1 AND gen = $2 ORDER BY slot FOR UPDATE",
      known.sub,
      known.gen,
    );
    for (const [slot, low, ranges] of reached) {
      const to = Math.max(low, decodeRanges(ranges, low).at(-1)?.[1] ?? 0);
      if (to > (start.get(slot) ?? 0)) since.set(slot, to);
    }
    return since;
  }

  /** Events of a type between `start` and `since`; none where the log is another store's. */
  async #passedOver({ slots }: Definition, type: string, start: Start, since: Start): Promise<number> {
    const spans = [...since].flatMap(([slot, to]) => (to > (start.get(slot) ?? 0) ? [{ slot, to }] : []));
    if (spans.length === 0) return 0;
    const [row] = await this.#query<[number]>(
      `SELECT count(*) FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS u(slot, after, upto)
       JOIN S.event e ON e.position > u.after AND e.position <= u.upto AND ($5 OR e.slot = u.slot)
       JOIN S.schema s ON s.id = e.schema JOIN S.type t ON t.id = s.type WHERE t.name = $4`,
      spans.map(({ slot }) => slot),
      spans.map(({ slot }) => start.get(slot) ?? 0),
      spans.map(({ to }) => to),
      type,
      slots === "one",
    );
    return row![0];
  }

  async #retire({ name }: Named<"retire">): Promise<CommandResult> {
    const subscription = await this.#named(name);
    const { sub } = subscription;
    const served = await this.#query<[string]>("SELECT serves FROM S.session");
    const isServed = served.some(([serves]) =>
      (JSON.parse(serves) as { sub: number }[]).some((one) => one.sub === sub),
    );
    if (isServed) throw conflict(`a worker serves ${name}: stop it, then retire.`);
    const result = await this.#resultOf(subscription);
    await this.remove(sub);
    return result;
  }
  /** All that a subscription has. */
  async remove(sub: number): Promise<void> {
    await this.#query("SELECT 1 FROM S.slot WHERE sub = $1 ORDER BY sub, gen, slot FOR UPDATE", sub);
    for (const table of tablesOfSubscription) await this.#query(`DELETE FROM S.${table} WHERE sub = $1`, sub);
    await this.#query("DELETE FROM S.subscription WHERE id = $1", sub);
  }

  async #rename({ name, to }: Named<"rename">): Promise<CommandResult> {
    const subscription = await this.#named(name);
    if ((await this.#find(to)) !== undefined) throw conflict(`there is a subscription ${to} already.`);
    await this.#query("UPDATE S.subscription SET name = $1 WHERE id = $2", to, subscription.sub);
    return this.#resultOf(subscription);
  }

  /** The slot is locked first, as by everybody who changes a row. */
  async #requireDead({ sub, gen, slot, position }: DeliveryRef, rowToken: number): Promise<void> {
    await this.#query(
      "SELECT 1 FROM S.slot WHERE sub = $1 AND gen = $2 AND slot = $3 FOR NO KEY UPDATE",
      sub,
      gen,
      slot,
    );
    const [row] = await this.#query<[number, number]>(
      "SELECT state, token FROM S.delivery WHERE sub = $1 AND gen = $2 AND slot = $3 AND position = $4",
      sub,
      gen,
      slot,
      position,
    );
    if (row === undefined) throw notThere("this delivery");
    if (row[0] !== 4 || row[1] !== rowToken) throw conflict("this delivery has moved on since you looked: look again.");
  }

  async #answer({ delivery, scope, step, value, nowMs }: Named<"answer">): Promise<CommandResult> {
    const { sub, gen, slot, position } = delivery;
    const values = [sub, gen, slot, position, scope, step, value, Buffer.byteLength(value), nowMs];
    const [row] = await this.#query<[string]>("SELECT S.answer($1, $2, $3, $4, $5, $6, $7, $8, $9)", ...values);
    if (row![0] === "not there") throw notThere(`the approval ${step}`);
    if (row![0] === "over") throw conflict(`${step} was answered already, or has expired: look again.`);
    return this.#ofDelivery(delivery);
  }

  async #dropSteps({ sub, gen, slot, position }: DeliveryRef, names: readonly string[]): Promise<void> {
    for (const table of ["awaited", "step"]) {
      await this.#query(
        `DELETE FROM S.${table} s USING S.delivery d WHERE d.sub = $1 AND d.gen = $2 AND d.slot = $3 AND d.position = $4
         AND s.sub = d.sub AND s.slot = d.slot AND s.position = d.position AND s.scope = d.scope
         AND s.name IN (SELECT jsonb_array_elements_text($5::jsonb))`,
        sub,
        gen,
        slot,
        position,
        JSON.stringify(names),
      );
    }
  }

  async #onRow(
    call: string,
    { sub, gen, slot, position }: DeliveryRef,
    ...values: (string | number | boolean)[]
  ): Promise<void> {
    await this.#query(
      `SELECT ${call} FROM S.delivery d WHERE sub = $1 AND gen = $2 AND slot = $3 AND position = $4`,
      sub,
      gen,
      slot,
      position,
      ...values,
    );
  }

  async #addRevision(sub: number, revision: number, definition: Definition): Promise<void> {
    await this.#query(
      "INSERT INTO S.revision(sub, revision, definition) VALUES ($1, $2, $3)",
      sub,
      revision,
      encodeDefinition(definition),
    );
  }

  async #find(name: string): Promise<Subscription | undefined> {
    const [row] = await this.#query<[number, number, number]>(
      "SELECT id, gen, newest FROM S.subscription WHERE name = $1",
      name,
    );
    return row === undefined ? undefined : { sub: row[0], gen: row[1], newest: row[2] };
  }

  async #byId(sub: number): Promise<Subscription | undefined> {
    const [row] = await this.#query<[number, number]>("SELECT gen, newest FROM S.subscription WHERE id = $1", sub);
    return row === undefined ? undefined : { sub, gen: row[0], newest: row[1] };
  }

  async #named(name: string): Promise<Subscription> {
    const subscription = await this.#find(name);
    if (subscription === undefined) throw notThere(`the subscription ${name}`);
    return subscription;
  }

  async #ofDelivery({ sub }: DeliveryRef): Promise<CommandResult> {
    return this.#resultOf((await this.#byId(sub))!);
  }

  async #resultOf(
    { sub, gen, newest }: Subscription,
    more: { created?: boolean; revision?: number } = {},
  ): Promise<CommandResult> {
    const counted = await this.#query<[string, string]>(
      "SELECT type, since FROM S.counted WHERE sub = $1 AND gen = $2",
      sub,
      gen,
    );
    return {
      sub,
      gen,
      revision: more.revision ?? newest,
      newest,
      created: more.created ?? false,
      since: new Map(counted.map(([type, since]) => [type, decodeStart(since)])),
    };
  }

  #query<Row extends readonly unknown[]>(text: string, ...values: readonly unknown[]): Promise<Row[]> {
    return this.#run<Row>(this.#store.sql(text), values);
  }
}

export function notThere(what: string): FactlogError {
  return new FactlogError("NOT_FOUND", `${what} is not there: list what is, and try again.`);
}

export function conflict(message: string): FactlogError {
  return new FactlogError("CONFLICT", message);
}
