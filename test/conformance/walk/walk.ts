import assert from "node:assert/strict";
import type { Engine } from "../../../src/engine/engine.ts";
import type {
  Change,
  CommandResult,
  Definition,
  DeliveryRef,
  DeliveryRow,
  Effects,
  LeaseRequest,
  Ledger,
  Outcomes,
  RowChange,
  SlotLease,
} from "../../../src/engine/ledger.ts";
import type { FactlogError } from "../../../src/errors.ts";
import type { EncodedEvent } from "../../../src/event/stored-event.ts";
import { look, Oracle, type Picture } from "./oracle.ts";
import { codeOf, encoded, endOf, eventOf, insertOf, nobody, pick, plain, refOf, shown, type Step } from "./step.ts";

/** A worker as it sees itself, right or wrong: it may have been declared dead long ago. */
interface Process {
  readonly ledger: Ledger;
  session: number | undefined;
  /** Tokens of the slots it held when it last asked. */
  held: ReadonlyMap<number, number>;
  /** Leases it was given, stale ones among them. */
  leases: SlotLease[];
  views: Map<number, { low: number; readonly busy: Set<string> }>;
  /** Rows it started, ended ones among them. */
  attempts: { readonly delivery: DeliveryRef; readonly rowToken: number }[];
}

const noOutcomes: Outcomes = { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 };

/** A random walk over a ledger, by several processes, with an oracle that looks after every step. */
export class Walk {
  readonly #engine: Engine;
  readonly #processes: Process[];
  readonly #oracle = new Oracle();
  #definition: Definition;
  #subscription!: CommandResult;
  #audits = 0;
  /** Emitted events that must be there: id -> data. */
  readonly #emitted = new Map<string, string>();

  constructor(engines: readonly Engine[], onExhausted: Definition["onExhausted"]) {
    this.#engine = engines[0]!;
    this.#processes = engines.map(({ ledger }) => ({
      ledger,
      session: undefined,
      held: new Map(),
      leases: [],
      views: new Map(),
      attempts: [],
    }));
    this.#definition = { types: ["A"], order: "key", onExhausted, crashesMax: 1, slots: "all" };
  }

  /** Walks, then lets one worker alone bring everything to its end. Answers what was seen on the way. */
  async run(steps: readonly Step[]): Promise<unknown[]> {
    const seen: unknown[] = [];
    await this.#define();
    for (const [i, step] of steps.entries()) {
      try {
        seen.push([step.act, await this.#take(step)]);
        const picture = await this.#look();
        this.#oracle.check(picture);
        seen.push(plain(picture));
      } catch (error) {
        throw new Error(`step ${i} (${step.act}): ${(error as Error).message}`, { cause: error });
      }
    }
    seen.push(await this.#drain());
    return seen;
  }

  #look(): Promise<Picture> {
    return look(this.#engine.ledger, this.#subscription.sub);
  }

  async #define(): Promise<void> {
    const places = { start: new Map(), baseline: new Map(), reinstate: true };
    this.#subscription = await this.#engine.ledger.command({
      kind: "define",
      name: "walk",
      definition: this.#definition,
      ...places,
    });
  }

  /** Who cannot do what it should does what comes before it: nothing is wasted. */
  #take(step: Step): Promise<unknown> {
    const process = pick(this.#processes, step.who)!;
    if (process.session === undefined || (process.leases.length === 0 && step.act !== "bury"))
      return this.#join(process, step);
    switch (step.act) {
      case "take":
        return this.#join(process, step);
      case "give back":
        return this.#lease(process, { giveBack: [pick(process.leases, step.which)].flatMap((lease) => lease ?? []) });
      case "bury":
        return this.#bury(process, step);
      case "leave":
        return this.#lease(process, { leave: true });
      case "read":
        return this.#read(process, step);
      case "start":
        return this.#start(process, step);
      case "end":
        return this.#end(process, step);
      case "release":
        return this.#lease(process, {
          release: [pick(process.attempts, step.which)].flatMap((one) =>
            one ? [{ ...one.delivery, rowToken: one.rowToken }] : [],
          ),
        });
      case "redrive":
      case "discard":
        return this.#operate(step.act, step);
      case "redefine":
        return this.#redefine(step);
    }
  }

  #join(process: Process, { how }: Step): Promise<unknown> {
    return this.#lease(process, { want: [this.#wanted(1 + (how % 2))] });
  }

  #wanted(slots: number): LeaseRequest["want"][number] {
    const { sub, gen, newest } = this.#subscription;
    return { sub, gen, revision: newest, slots };
  }

  async #lease(process: Process, request: Partial<LeaseRequest>): Promise<unknown> {
    const before = await this.#look();
    const me = process.session === undefined ? {} : { session: process.session };
    try {
      const state = await process.ledger.lease({ ...nobody, ...me, ...request });
      await this.#requireUntouched(before, process.session, request);
      await this.#adopt(process, state.held);
      process.session = request.leave === true ? undefined : state.session;
      return [
        state.session,
        state.sessions.map(({ session, beat }) => [session, beat]),
        state.held.map(({ slot }) => slot),
      ];
    } catch (error) {
      assert.equal((error as FactlogError).code, "LEASE_LOST");
      assert.ok(
        before.tally.slots.every(({ session }) => session !== process.session),
        "who holds a slot is alive",
      );
      process.session = undefined;
      return "LEASE_LOST";
    }
  }

  /** Only the dead, those who leave and those who release give up what they run: not who gives back a slot. */
  async #requireUntouched(before: Picture, session: number | undefined, request: Partial<LeaseRequest>): Promise<void> {
    const after = await this.#look();
    const beat = (request.dead ?? []).map((dead) => dead.session);
    for (const row of before.rows.filter(({ state }) => state === "running")) {
      const released =
        request.release?.some(({ slot, position }) => slot === row.slot && position === row.position) === true;
      const mayStop = beat.includes(row.session!) || (row.session === session && (request.leave === true || released));
      const now = after.rows.find(({ slot, position }) => slot === row.slot && position === row.position);
      if (!mayStop) assert.deepEqual(now, row, "a row that runs is touched");
    }
  }

  /** New leases are loaded; old ones are remembered, for a zombie does not know that it is one. */
  async #adopt(process: Process, held: readonly SlotLease[]): Promise<void> {
    for (const lease of held) {
      if (process.held.get(lease.slot) === lease.token) continue;
      this.#oracle.handOver(lease.slot, lease.token);
      const [state] = await process.ledger.load([lease]);
      process.views.set(lease.slot, { low: state!.low, busy: new Set(state!.busy) });
      process.leases = [lease, ...process.leases].slice(0, 4);
    }
    process.held = new Map(held.map(({ slot, token }) => [slot, token]));
  }

  async #bury(process: Process, { which, how }: Step): Promise<unknown> {
    const { session: victim } = pick(this.#processes, which)!;
    if (victim === undefined || victim === process.session) return "nobody";
    const { sessions } = await process.ledger.lease({ ...nobody, leave: true });
    const view = sessions.find(({ session }) => session === victim);
    if (view === undefined) return "gone";
    const stale = how % 4 === 0;
    const before = await this.#look();
    const answer = await this.#lease(process, { dead: [{ session: victim, beat: view.beat - (stale ? 1 : 0) }] });
    if (answer !== "LEASE_LOST") this.#requireCharged(before, await this.#look(), stale ? -1 : victim);
    return answer;
  }

  /** The rows that the dead session ran are charged one crash, and no others. */
  #requireCharged(before: Picture, after: Picture, dead: number): void {
    for (const row of before.rows) {
      const now = after.rows.find(({ slot, position }) => slot === row.slot && position === row.position)!;
      const charged = row.state === "running" && row.session === dead;
      assert.equal(now.crashes, row.crashes + (charged ? 1 : 0), `crashes of ${row.slot}.${row.position}`);
      if (charged) assert.equal(now.state, now.crashes < this.#definition.crashesMax ? "ready" : "dead");
    }
  }

  /** Reads the next event of a slot and closes it, or gives it a row. */
  async #read(process: Process, { which, how }: Step): Promise<unknown> {
    const lease = leaseOf(process, which);
    const view = process.views.get(lease?.slot ?? -1);
    if (lease === undefined || view === undefined || process.session === undefined) return "nothing";
    const position = view.low + 1;
    const key = `k${position % 2}`;
    const insert = insertOf(position, key, view.busy.has(key) ? 2 : how, this.#definition.onExhausted);
    const emits = insert === undefined ? [eventOf(how)] : [];
    const mine = await this.#holds(process, lease);
    const change: Change = {
      kind: "progress",
      lease,
      low: position,
      ranges: [],
      claim: position + 3,
      matched: new Map([[pick(this.#definition.types, how)!, 1]]),
      outcomes: { ...noOutcomes, done: insert === undefined ? 1 : 0 },
      insert: insert === undefined ? [] : [insert],
      effects: insert === undefined ? [{ position, emits, writes: [] }] : [],
      seen: [],
    };
    const [answer] = await process.ledger.record(process.session, [change]);
    assert.equal(answer!.status, mine ? this.#fate(emits) : "lost");
    if (answer!.status !== "ok") return shown(answer!);
    this.#happened(emits);
    view.low = position;
    if (insert === undefined) this.#oracle.close({ slot: lease.slot, position });
    if (insert?.holds === true) view.busy.add(key);
    for (const free of answer!.freed) view.busy.delete(free);
    const { sub, gen, slot } = lease;
    if (insert?.state === "running") process.attempts.unshift({ delivery: { sub, gen, slot, position }, rowToken: 1 });
    return shown(answer!);
  }

  async #holds(process: Process, lease: SlotLease): Promise<boolean> {
    const { tally } = await this.#look();
    return tally.slots[lease.slot]!.session === process.session && this.#oracle.isNewest(lease.slot, lease.token);
  }

  async #start(process: Process, step: Step): Promise<unknown> {
    const { which, how } = step;
    const lease = leaseOf(process, which);
    if (lease === undefined || process.session === undefined) return "nothing";
    const due = await startable(process.ledger, [lease]);
    const row = pick(due, how);
    if (row === undefined) return this.#read(process, step);
    const mine = await this.#holds(process, lease);
    const change: Change = { kind: "start", lease, position: row.position, rowToken: row.rowToken };
    const answers = await process.ledger.record(process.session, how % 2 === 0 ? [change] : [change, change]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [mine ? "ok" : "lost", "lost"].slice(0, answers.length),
    );
    if (mine) process.attempts.unshift({ delivery: refOf(row), rowToken: row.rowToken + 1 });
    process.attempts.splice(6);
    return answers.map(shown);
  }

  async #end(process: Process, step: Step): Promise<unknown> {
    const { which, how } = step;
    const attempt = pick(process.attempts, which % 3 === 0 ? which : 0);
    if (attempt === undefined || process.session === undefined) return this.#start(process, step);
    const { delivery, rowToken } = attempt;
    const [row] = await process.ledger.deliveries({ kind: "one", delivery });
    const mine = row?.state === "running" && row.session === process.session && row.rowToken === rowToken;
    const to = endOf(how, this.#definition.onExhausted);
    const effects: Effects = { position: delivery.position, emits: [eventOf(how)], writes: [] };
    const change: RowChange = { kind: "row", delivery, rowToken, to, ...(to.state === "closed" ? { effects } : {}) };
    const answers = await process.ledger.record(process.session, [change, change]);
    const emits = to.state === "closed" ? effects.emits : [];
    const first = mine ? this.#fate(emits) : "lost";
    assert.deepEqual(
      answers.map(({ status }) => status),
      [first, first === "ok" ? "lost" : first],
    );
    if (first === "ok") this.#happened(emits);
    if (first === "ok" && to.state === "closed") this.#oracle.close(delivery);
    if (first === "ok" && how % 5 > 0) process.attempts = process.attempts.filter((one) => one !== attempt);
    for (const free of answers[0]!.freed) process.views.get(delivery.slot)?.busy.delete(free);
    return answers.map(shown);
  }

  async #operate(kind: "redrive" | "discard", { which, how }: Step): Promise<unknown> {
    const { rows } = await this.#look();
    const row = pick(
      rows.filter(({ state }) => state === "dead" || how % 5 === 0),
      which,
    );
    if (row === undefined) return "nothing dead";
    const rowToken = row.rowToken + (how % 4 === 0 ? 1 : 0);
    const audit = encoded(`audit-${this.#audits++}`, "factlog.operator", "{}");
    const act = { delivery: refOf(row), rowToken, audit };
    const command = kind === "redrive" ? { kind, ...act, nowMs: 4 } : { kind, ...act };
    const good = row.state === "dead" && rowToken === row.rowToken;
    const code = await codeOf(this.#engine.ledger.command(command));
    assert.equal(code, good ? "ok" : "CONFLICT");
    if (good) this.#emitted.set(audit.id, audit.data);
    if (good && kind === "discard") this.#oracle.close(row);
    return code;
  }

  async #redefine({ how }: Step): Promise<unknown> {
    const types =
      how % 4 === 0 ? [...this.#definition.types, `T${this.#definition.types.length}`] : this.#definition.types;
    const adds = types.length > this.#definition.types.length;
    const holders = ({ tally }: Picture): unknown => tally.slots.map(({ session }) => (adds ? undefined : session));
    const before = holders(await this.#look());
    this.#definition = { ...this.#definition, types, crashesMax: 1 + (how % 3) };
    await this.#define();
    const after = (await this.#look()).tally.slots.map(({ session }) => session);
    assert.deepEqual(after, before, "slots change hands where types are added, and only there");
    return this.#subscription.newest;
  }

  // ── effects ──
  #fate(emits: readonly EncodedEvent[]): "ok" | "refused" {
    return emits.every(({ id, data }) => (this.#emitted.get(id) ?? data) === data) ? "ok" : "refused";
  }
  #happened(emits: readonly EncodedEvent[]): void {
    for (const { id, data } of emits) this.#emitted.set(id, data);
  }

  /** Faults are over: one worker alone closes every row, and nothing is left behind. */
  async #drain(): Promise<unknown> {
    const [process] = this.#processes as [Process];
    const { sessions } = await process.ledger.lease({ ...nobody, leave: true });
    const { session } = await process.ledger.lease({ ...nobody, dead: sessions, want: [this.#wanted(1_000)] });
    const { held } = await process.ledger.lease({ ...nobody, session });
    assert.equal(held.length, (await this.#look()).tally.slots.length, "every slot can be taken");
    for (let picture = await this.#look(); picture.rows.length > 0; picture = await this.#look()) {
      this.#oracle.check(picture);
      for (const row of picture.rows) {
        if (row.state === "dead")
          await this.#engine.ledger.command({
            kind: "redrive",
            delivery: refOf(row),
            rowToken: row.rowToken,
            nowMs: 0,
            audit: this.#audit(),
          });
      }
      const due = await startable(process.ledger, held);
      assert.ok(due.length > 0, "rows are left, and none may start");
      for (const row of due) {
        const lease = held.find(({ slot }) => slot === row.slot)!;
        const delivery = refOf(row);
        const start: Change = { kind: "start", lease, position: row.position, rowToken: row.rowToken };
        const end: Change = { kind: "row", delivery, rowToken: row.rowToken + 1, to: { state: "closed", as: "done" } };
        const answers = await process.ledger.record(session, [start, end]);
        assert.deepEqual(
          answers.map(({ status }) => status),
          ["ok", "ok"],
        );
        this.#oracle.close(row);
      }
    }
    const { tally, rows } = await this.#look();
    this.#oracle.check({ tally, rows });
    assert.equal(tally.state, "active");
    return [tally.slots, await this.#requireEmitted()];
  }

  #audit(): EncodedEvent {
    const audit = encoded(`audit-${this.#audits++}`, "factlog.operator", "{}");
    this.#emitted.set(audit.id, audit.data);
    return audit;
  }

  /** Exactly the events are there whose settle or command stood. */
  async #requireEmitted(): Promise<unknown> {
    const { log, ledger } = this.#engine;
    const after = new Map(Array.from({ length: log.capabilities.slots }, (_, slot) => [slot, 0]));
    const found = ledger.capabilities.sharesLog
      ? (await log.read({ after, limit: 100_000, scanMax: 100_000 })).events
      : (await ledger.outbox(100_000)).map(({ event }) => event);
    assert.equal(found.length, new Set(found.map(({ id }) => id)).size, "an event is emitted twice");
    assert.deepEqual(new Map(found.map(({ id, data }) => [id, data])), this.#emitted);
    return found.map(({ id }) => id);
  }
}

/** Mostly the newest lease, now and then one that may be stale. */
const leaseOf = ({ leases }: Process, which: number): SlotLease | undefined =>
  pick(leases, which % 3 === 0 ? which : which % 2);

/** Rows that are due, and those whose group may have its turn. */
async function startable(ledger: Ledger, slots: readonly SlotLease[]): Promise<readonly DeliveryRow[]> {
  const due = await ledger.deliveries({ kind: "due", slots, dueMs: 1_000_000, limit: 10_000 });
  return [...due, ...(await ledger.deliveries({ kind: "deferred", slots, group: "g", limit: 10_000 }))];
}
