import { pause } from "../../env.ts";
import { mayPass } from "../../errors.ts";
import { idConflict } from "../../event/codec.ts";
import type { Change, Recorded } from "../../engine/ledger.ts";
import { limits } from "../../limits.ts";
import { ChangeWriter, effectsOf, eventsOf } from "./changes.ts";
import { Lost, type Run } from "./connection.ts";
import type { Client } from "./driver.ts";
import { guestOff, guestOn, runGuest } from "./guest.ts";
import { isLost, mayRunAgain } from "./postgres-error.ts";
import { inTransaction, type Store } from "./store.ts";

/** What the function `record` says of a change. */
interface Told {
  readonly status: Recorded["status"];
  readonly freed?: readonly string[];
  readonly promoted?: boolean;
  readonly stood?: string;
  readonly announced?: Recorded["announced"];
  readonly refused?: { readonly position: number; readonly index: number; readonly delayed?: boolean };
}
interface Refused {
  readonly position: number;
  readonly error: unknown;
}

/** For so long a flush is sent again into connections that are made and end; then the worker stops. */
const lostMaxMs = 40_000;

/** A change with statements of the user came to nothing after these had run: everything is done again without them. */
class WritesInVain extends Error {}
/** This flush was done before; only its answer had been lost. */
class DoneBefore extends Error {
  readonly answers: readonly Told[];
  constructor(answers: readonly Told[]) {
    super("done before");
    this.answers = answers;
  }
}

/**
 * One call of `record`. Without statements of the user it is one round trip. With them it is a transaction: first all
 * these statements, each change's in a savepoint, then the settles: so nothing of the user's runs while a slot or the
 * head is locked. Where a change turns out to be lost after its statements ran, all is rolled back and done again
 * without them.
 */
export class Recorder {
  readonly #store: Store;
  readonly #sharesLog: boolean;
  readonly #writer: ChangeWriter;
  readonly #text: string;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#sharesLog = options.sharesLog;
    this.#writer = new ChangeWriter(store.names, options);
    this.#text = store.sql("SELECT answers, again FROM S.record($1, $2, $3, $4, $5, $6)");
  }

  async run(session: number, changes: readonly Change[]): Promise<readonly Recorded[]> {
    const flush = this.#store.env.uuid();
    const barred = new Map<number, Refused>();
    const lost = new Set<number>();
    const events = this.#sharesLog ? changes.flatMap(eventsOf) : [];
    for (;;) {
      try {
        const told = await this.#untilKnown(async (run, client) => {
          await this.#store.names.ensure(run, events);
          if (changes.some(hasWrites)) return this.#withWrites(run, client, { session, flush, changes, barred, lost });
          return (await this.#settle(run, session, flush, changes, barred)).told;
        });
        return this.#answers(changes, told, barred);
      } catch (error) {
        if (error instanceof DoneBefore) return this.#answers(changes, error.answers, barred);
        if (!(error instanceof WritesInVain)) throw error;
      }
    }
  }

  /**
   * Runs one flush until it is known what became of it. Once it was sent into a connection that ended, a server that is
   * not there is waited for: to begin anew under another name could do everything a second time.
   */
  async #untilKnown<T>(work: (run: Run, client: Client) => Promise<T>): Promise<T> {
    const { writes, env } = this.#store;
    let untilMs: number | undefined;
    for (;;) {
      this.#store.requireSound();
      try {
        return await writes.run(work);
      } catch (error) {
        const lost = error instanceof Lost;
        const mapped = this.#store.error(error);
        if (lost) untilMs ??= env.monotonic() + lostMaxMs;
        if (untilMs === undefined || writes.isClosed || (lost ? env.monotonic() > untilMs : !mayPass(mapped)))
          throw mapped;
        if (lost) continue;
        untilMs = env.monotonic() + lostMaxMs;
      }
      await pause(env, limits.checkpointMs);
    }
  }

  async #withWrites(run: Run, client: Client, call: Call): Promise<readonly Told[]> {
    return inTransaction(run, "BEGIN", async () => {
      for (const [index, change] of call.changes.entries()) {
        if (hasWrites(change) && !call.barred.has(index) && !call.lost.has(index)) {
          const refused = await this.#write(client, change);
          if (refused !== undefined) call.barred.set(index, refused);
        }
      }
      const { told, again } = await this.#settle(run, call.session, call.flush, call.changes, call.barred);
      if (again) throw new DoneBefore(told);
      const inVain = told.flatMap(({ status }, index) => {
        const ran = hasWrites(call.changes[index]!) && !call.barred.has(index) && !call.lost.has(index);
        return ran && status !== "ok" ? [index] : [];
      });
      for (const index of inVain) call.lost.add(index);
      if (inVain.length > 0) throw new WritesInVain();
      return told;
    });
  }

  /** All statements of a change, or none; gives whose could not be. */
  async #write(client: Client, change: Change): Promise<Refused | undefined> {
    await client.query(`SAVEPOINT guest; ${guestOn}`);
    for (const { position, writes } of effectsOf(change)) {
      try {
        for (const statement of writes) await runGuest(client, statement, this.#store.location.schema);
        if (writes.length > 0) await client.query("SET CONSTRAINTS ALL IMMEDIATE");
      } catch (error) {
        if (isLost(error) || mayRunAgain(error)) throw error;
        await client.query("ROLLBACK TO SAVEPOINT guest; RELEASE SAVEPOINT guest");
        return { position, error };
      }
    }
    await client.query(`${guestOff}; RELEASE SAVEPOINT guest`);
    return undefined;
  }

  async #settle(
    run: Run,
    session: number,
    flush: string,
    changes: readonly Change[],
    barred: ReadonlyMap<number, Refused>,
  ): Promise<{ readonly told: readonly Told[]; readonly again: boolean }> {
    const { env, channel } = this.#store;
    const values = [session, flush, this.#writer.write(changes, barred), env.now(), this.#sharesLog, channel];
    const [row] = await run<[string, boolean]>(this.#text, values, "record");
    return { told: JSON.parse(row![0]) as Told[], again: row![1] };
  }

  #answers(
    changes: readonly Change[],
    told: readonly Told[],
    barred: ReadonlyMap<number, Refused>,
  ): readonly Recorded[] {
    return told.map(({ status, freed = [], promoted = false, stood, announced, refused }, index): Recorded => {
      if (status === "refused") {
        const why = barred.get(index) ?? conflictIn(changes[index]!, refused!);
        return { status, freed: [], promoted: false, refused: why };
      }
      if (stood !== undefined) return { status, freed, promoted, stood };
      if (announced === undefined) return { status, freed, promoted };
      this.#ring(announced);
      return { status, freed, promoted, announced: { ...announced, appended: announced.appended ?? undefined } };
    });
  }

  #ring({ appended }: NonNullable<Recorded["announced"]>): void {
    if (appended !== undefined) this.#store.bell.ring(appended.position);
  }
}

interface Call {
  readonly session: number;
  readonly flush: string;
  readonly changes: readonly Change[];
  readonly barred: Map<number, Refused>;
  readonly lost: Set<number>;
}

const hasWrites = (change: Change): boolean => effectsOf(change).some(({ writes }) => writes.length > 0);

function conflictIn(change: Change, { position, index, delayed }: NonNullable<Told["refused"]>): Refused {
  const effects = effectsOf(change).find((one) => one.position === position)!;
  const event = delayed === true ? effects.delayed![index]!.event : effects.emits[index]!;
  return { position, error: idConflict(event, index) };
}
