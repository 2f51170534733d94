import { FactlogError } from "../../errors.ts";
import type { Command, CommandResult, Definition, DeliveryRef } from "../../engine/ledger.ts";
import type { Database } from "./database.ts";
import {
  decodeDefinition,
  decodeStart,
  encodeDefinition,
  encodeStart,
  isSameDefinition,
} from "../../engine/definition.ts";
import type { EffectWriter } from "./effects.ts";
import type { Steps } from "./journal.ts";
import { decodeRanges } from "../../engine/ranges.ts";
import type { RowHead, Rows } from "./rows.ts";

type Named<Kind extends Command["kind"]> = Extract<Command, { kind: Kind }>;

/** All that a subscription has, by its number. */
const tablesOfSubscription = [
  "slot",
  "delivery",
  "failure",
  "tally",
  "counted",
  "revision",
  "state",
  "seen",
  "settled",
  "step",
  "awaited",
] as const;

function prepare(db: Database) {
  return {
    find: db.prepare<[number, number, number]>("SELECT id, gen, newest FROM factlog_subscription WHERE name = ?"),
    byId: db.prepare<[number, number, number]>("SELECT id, gen, newest FROM factlog_subscription WHERE id = ?"),
    create: db.prepare<[number]>("INSERT INTO factlog_subscription(name, gen, newest) VALUES (?, 1, 1) RETURNING id"),
    rename: db.prepare("UPDATE factlog_subscription SET name = ? WHERE id = ?"),
    setNewest: db.prepare("UPDATE factlog_subscription SET newest = ? WHERE id = ?"),
    remove: [
      ...tablesOfSubscription.map((table) => db.prepare(`DELETE FROM factlog_${table} WHERE sub = ?`)),
      db.prepare("DELETE FROM factlog_subscription WHERE id = ?"),
    ],
    revisions: db.prepare<[number, string]>(
      "SELECT revision, definition FROM factlog_revision WHERE sub = ? ORDER BY revision",
    ),
    addRevision: db.prepare("INSERT INTO factlog_revision(sub, revision, definition) VALUES (?, ?, ?)"),
    addSlot: db.prepare("INSERT INTO factlog_slot(sub, gen, slot, low, claim) VALUES (?, ?, ?, ?4, ?4)"),
    freeSlots: db.prepare(
      "UPDATE factlog_slot SET session = NULL, token = token + 1, claim = low WHERE sub = ? AND gen = ?",
    ),
    counted: db.prepare<[string, string]>("SELECT type, since FROM factlog_counted WHERE sub = ? AND gen = ?"),
    count: db.prepare(
      `INSERT INTO factlog_counted(sub, gen, type, since, baseline, matched) VALUES (?, ?, ?, ?, ?, 0)
       ON CONFLICT DO UPDATE SET since = excluded.since, baseline = excluded.baseline - matched`,
    ),
    reached: db.prepare<[number, number, string]>(
      "SELECT slot, low, ranges FROM factlog_slot WHERE sub = ? AND gen = ?",
    ),
    between: db.prepare<[number]>(
      `SELECT count(*) FROM factlog_event e JOIN factlog_schema s ON s.id = e.schema JOIN factlog_type t ON t.id = s.type
       WHERE t.name = ? AND e.position > ? AND e.position <= ? AND (? OR e.slot = ?)`,
    ),
    serves: db.prepare<[string]>("SELECT serves FROM factlog_session"),
  };
}

interface Subscription {
  readonly sub: number;
  readonly gen: number;
  readonly newest: number;
}

/** Acts from outside, inside the open transaction; what they throw rolls them back with their audit event. */
export class Commands {
  readonly #rows: Rows;
  readonly #steps: Steps;
  readonly #effects: EffectWriter;
  readonly #slots: number;
  readonly #sql;

  constructor(
    db: Database,
    parts: { readonly rows: Rows; readonly steps: Steps; readonly effects: EffectWriter },
    slots: number,
  ) {
    const { rows, steps, effects } = parts;
    this.#rows = rows;
    this.#steps = steps;
    this.#effects = effects;
    this.#slots = slots;
    this.#sql = prepare(db);
  }

  run(command: Command): CommandResult {
    if (command.kind === "define") return this.#define(command);
    const result = this.#act(command);
    this.#effects.emit(command.audit);
    return result;
  }

  #act(command: Exclude<Command, { kind: "define" }>): CommandResult {
    switch (command.kind) {
      case "retire":
        return this.#retire(command);
      case "rename":
        return this.#rename(command);
      case "redrive": {
        const row = this.#deadRow(command.delivery, command.rowToken);
        for (const name of command.drop ?? []) this.#steps.drop(command.delivery, row.scope, name);
        this.#rows.redrive(row, command.nowMs, command.fresh === true);
        return this.#ofDelivery(command.delivery);
      }
      case "answer": {
        const { delivery, scope, step, value, nowMs } = command;
        this.#steps.answer(delivery, scope, step, value, nowMs);
        return this.#ofDelivery(delivery);
      }
      case "discard": {
        const row = this.#deadRow(command.delivery, command.rowToken);
        this.#rows.close(row, "discarded");
        return this.#ofDelivery(command.delivery);
      }
    }
  }

  #define(command: Named<"define">): CommandResult {
    const known =
      command.sub === undefined ? this.#find(command.name) : toSubscription(this.#sql.byId.get(command.sub));
    if (known === undefined && command.sub !== undefined) throw notThere(`the subscription ${command.name}`);
    if (known === undefined) return this.#resultOf(this.#create(command), { created: true });
    const revisions = this.#sql.revisions.all(known.sub).map(([, text]) => decodeDefinition(text));
    const newest = revisions[known.newest - 1]!;
    if (newest.slots !== command.definition.slots) {
      throw conflict(`${command.name} was created with slots ${newest.slots}: retire it, or take another name.`);
    }
    const older = revisions.findIndex((other) => isSameDefinition(other, command.definition)) + 1;
    const revision = older > 0 ? older : revisions.length + 1;
    if (older === 0) this.#sql.addRevision.run(known.sub, revision, encodeDefinition(command.definition));
    const renews = older === 0 || (older !== known.newest && command.reinstate === true);
    if (renews) this.#renew(known, revision, newest.types, command);
    return this.#resultOf({ ...known, newest: renews ? revision : known.newest }, { revision });
  }

  #create({ name, definition, start, baseline }: Named<"define">): Subscription {
    const sub = this.#sql.create.get(name)![0];
    this.#sql.addRevision.run(sub, 1, encodeDefinition(definition));
    const slots = definition.slots === "one" ? 1 : this.#slots;
    for (let slot = 0; slot < slots; slot++) this.#sql.addSlot.run(sub, 1, slot, start.get(slot) ?? 0);
    for (const type of definition.types) {
      this.#sql.count.run(sub, 1, type, encodeStart(start), baseline.get(type) ?? 0);
    }
    return { sub, gen: 1, newest: 1 };
  }

  /**
   * Makes a revision the newest. Types it adds count from `start`; what they matched earlier stays conserved. Workers of
   * the old revision lose their slots: their progress would pass over events of the added types.
   */
  #renew(known: Subscription, revision: number, before: readonly string[], command: Named<"define">): void {
    const { definition, start, baseline } = command;
    this.#sql.setNewest.run(revision, known.sub);
    const added = definition.types.filter((type) => !before.includes(type));
    const since = added.length > 0 ? this.#notBehind(known, start) : start;
    for (const type of added) {
      const passed = this.#passedOver(definition, type, start, since);
      this.#sql.count.run(known.sub, known.gen, type, encodeStart(since), (baseline.get(type) ?? 0) + passed);
    }
    if (added.length > 0) this.#sql.freeSlots.run(known.sub, known.gen);
  }

  /** `start`, but where workers of the older revision have come further: they passed over the added types there. */
  #notBehind(known: Subscription, start: Named<"define">["start"]): ReadonlyMap<number, number> {
    const since = new Map(start);
    for (const [slot, low, ranges] of this.#sql.reached.all(known.sub, known.gen)) {
      const reached = Math.max(low, decodeRanges(ranges, low).at(-1)?.[1] ?? 0);
      if (reached > (start.get(slot) ?? 0)) since.set(slot, reached);
    }
    return since;
  }

  /** Events of a type between `start` and `since`; none where the log is another store's. */
  #passedOver(
    { slots }: Definition,
    type: string,
    start: ReadonlyMap<number, number>,
    since: ReadonlyMap<number, number>,
  ): number {
    let passed = 0;
    for (const [slot, to] of since) {
      const from = start.get(slot) ?? 0;
      if (to > from) passed += this.#sql.between.get(type, from, to, slots === "one" ? 1 : 0, slot)![0];
    }
    return passed;
  }

  #retire({ name }: Named<"retire">): CommandResult {
    const subscription = this.#named(name);
    const { sub } = subscription;
    const isServed = this.#sql.serves
      .all()
      .some(([serves]) => (JSON.parse(serves) as { sub: number }[]).some((one) => one.sub === sub));
    if (isServed) throw conflict(`a worker serves ${name}: stop it, then retire.`);
    const result = this.#resultOf(subscription);
    this.remove(sub);
    return result;
  }
  /** All that a subscription has. */
  remove(sub: number): void {
    for (const remove of this.#sql.remove) remove.run(sub);
  }

  #rename({ name, to }: Named<"rename">): CommandResult {
    const subscription = this.#named(name);
    if (this.#find(to) !== undefined) throw conflict(`there is a subscription ${to} already.`);
    this.#sql.rename.run(to, subscription.sub);
    return this.#resultOf(subscription);
  }

  #deadRow(delivery: DeliveryRef, rowToken: number): RowHead {
    const row = this.#rows.find(delivery);
    if (row === undefined) throw notThere("this delivery");
    if (row.state === "dead" && row.token === rowToken) return row;
    throw conflict("this delivery has moved on since you looked: look again.");
  }

  #find(name: string): Subscription | undefined {
    return toSubscription(this.#sql.find.get(name));
  }

  #named(name: string): Subscription {
    const subscription = this.#find(name);
    if (subscription === undefined) throw notThere(`the subscription ${name}`);
    return subscription;
  }

  #ofDelivery(delivery: DeliveryRef): CommandResult {
    return this.#resultOf(toSubscription(this.#sql.byId.get(delivery.sub))!);
  }

  #resultOf(subscription: Subscription, more: { created?: boolean; revision?: number } = {}): CommandResult {
    const { sub, gen, newest } = subscription;
    return {
      sub,
      gen,
      revision: more.revision ?? newest,
      newest,
      created: more.created ?? false,
      since: new Map(this.#sql.counted.all(sub, gen).map(([type, since]) => [type, decodeStart(since)])),
    };
  }
}

function toSubscription(row: readonly [number, number, number] | undefined): Subscription | undefined {
  return row === undefined ? undefined : { sub: row[0], gen: row[1], newest: row[2] };
}

export function notThere(what: string): FactlogError {
  return new FactlogError("NOT_FOUND", `${what} is not there: list what is, and try again.`);
}

export function conflict(message: string): FactlogError {
  return new FactlogError("CONFLICT", message);
}
