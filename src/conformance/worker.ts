import type { Engine } from "../engine/engine.ts";
import type {
  Change,
  CommandResult,
  Definition,
  LeaseRequest,
  LeaseState,
  Ledger,
  Recorded,
  SlotLease,
} from "../engine/ledger.ts";
import type { Slot } from "../event/stored-event.ts";
import { define } from "./build.ts";
import type { Subject } from "./check.ts";

/** A worker process with its session. To kill it, stop calling it. */
export class Worker {
  readonly engine: Engine;
  state: LeaseState | undefined;

  private constructor(engine: Engine) {
    this.engine = engine;
  }

  /** Opens a process and joins. */
  static async join(subject: Subject): Promise<Worker> {
    const worker = new Worker(await subject.open());
    await worker.lease();
    return worker;
  }

  get ledger(): Ledger {
    return this.engine.ledger;
  }
  get session(): number {
    return this.state!.session;
  }
  get held(): readonly SlotLease[] {
    return this.state!.held;
  }

  /** A beat, with whatever else is asked for. */
  async lease(request: Partial<LeaseRequest> = {}): Promise<LeaseState> {
    const nothing = { leaseMs: 15_000, serves: [], dead: [], crashDueMs: 0, giveBack: [], release: [], want: [] };
    const me = this.state === undefined ? {} : { session: this.session };
    this.state = await this.ledger.lease({ ...nothing, ...me, ...request });
    return this.state;
  }

  /** Takes free slots until it holds that many; all where it is not said. */
  take({ sub, gen, newest }: CommandResult, slots: number = this.engine.log.capabilities.slots): Promise<LeaseState> {
    return this.lease({ want: [{ sub, gen, revision: newest, slots }] });
  }

  /** Declares the other dead, as its beat stands now. */
  async bury(other: Worker, request: Partial<LeaseRequest> = {}): Promise<LeaseState> {
    const { sessions } = await this.lease();
    return this.lease({ dead: sessions.filter(({ session }) => session === other.session), ...request });
  }

  leaseOf(sub: number, slot: Slot = 0): SlotLease {
    const lease = this.held.find((one) => one.sub === sub && one.slot === slot);
    if (lease === undefined)
      throw new Error(`session ${this.session} does not hold slot ${slot} of subscription ${sub}`);
    return lease;
  }

  record(...changes: readonly Change[]): Promise<readonly Recorded[]> {
    return this.ledger.record(this.session, changes);
  }

  /** Records one change. */
  async settle(change: Change): Promise<Recorded> {
    return (await this.record(change))[0]!;
  }
}

/** The usual beginning: a subscription, and a worker that holds all its slots. */
export interface Scene {
  readonly worker: Worker;
  readonly ledger: Ledger;
  readonly subscription: CommandResult;
  readonly sub: number;
  /** The worker's lease of slot 0. */
  readonly lease: SlotLease;
}
export async function scene(subject: Subject, fields?: Partial<Definition>): Promise<Scene> {
  const worker = await Worker.join(subject);
  const subscription = await define(worker.ledger, fields);
  await worker.take(subscription);
  const { sub } = subscription;
  return { worker, ledger: worker.ledger, subscription, sub, lease: worker.leaseOf(sub) };
}
