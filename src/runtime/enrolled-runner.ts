import type { LeaseState, SlotLease } from "../engine/ledger.ts";
import { hasCode, mayPass } from "../errors.ts";
import { workerStage } from "../observe/channels.ts";
import { enrol } from "./enrol.ts";
import { isProjection } from "./projections.ts";
import type { Runner } from "./runner.ts";
import type { Tenant } from "./session.ts";
import type { SharedStore } from "./store.ts";

/** A runner as a tenant of the session; follows what the ledger says of its subscription. */
export class EnrolledRunner implements Tenant {
  readonly runner: Runner;
  readonly #store: SharedStore;
  readonly #leaseMs: number;
  #unservedSinceMs: number | undefined;
  /** It goes while others stay: it wants no slot any more. */
  surrendered = false;

  constructor(store: SharedStore, leaseMs: number, runner: Runner) {
    this.#store = store;
    this.#leaseMs = leaseMs;
    this.runner = runner;
  }
  get sub(): number {
    return this.runner.enrolment.sub;
  }
  get gen(): number {
    return this.runner.enrolment.gen;
  }
  get revision(): number {
    return this.runner.enrolment.revision;
  }
  get inFlight(): number {
    return this.runner.inFlight;
  }
  get slotCount(): number {
    return this.surrendered ? 0 : this.runner.slotCount;
  }
  async hold(leases: readonly SlotLease[], afterDeath: boolean): Promise<void> {
    const before = this.runner.slots.size;
    await this.runner.hold(leases).catch((error: unknown) => {
      // A generation of a projection may be gone since its slots were taken.
      if (!isProjection(this.runner.spec) || !hasCode(error, "NOT_FOUND")) throw error;
    });
    const slots = this.runner.slots.size - before;
    if (afterDeath && slots > 0) workerStage.publish({ kind: "took-over", subscription: this.runner.spec.name, slots });
  }
  disown(): Promise<void> {
    this.runner.disown();
    return this.runner.hold([]);
  }
  shrinkTo(count: number): void {
    this.runner.shrinkTo(count);
  }
  /** A newer definition stands, which nobody serves: this one may become the newest again. */
  get superseded(): boolean {
    return this.#unservedSinceMs !== undefined;
  }
  returnable(): readonly { readonly lease: SlotLease; drop(): void }[] {
    return this.runner.returnable().map((slot) => ({ lease: slot.lease, drop: () => this.runner.drop(slot) }));
  }
  heard(news: LeaseState["subscriptions"][number], served: boolean): void {
    this.runner.standing.stateIs(news.state);
    if (this.runner.holdsKeys) this.#boundHeld();
    if (news.revision === this.revision) {
      this.#unservedSinceMs = undefined;
      return;
    }
    this.runner.shrinkTo(0);
    const nowMs = this.#store.env.monotonic();
    if (served) this.#unservedSinceMs = undefined;
    else this.#unservedSinceMs ??= nowMs;
    if (this.#unservedSinceMs !== undefined && nowMs - this.#unservedSinceMs >= this.#leaseMs) this.#reinstate();
  }
  /** At the bound of held rows the subscription stops reading, loudly, until some are settled. */
  #boundHeld(): void {
    this.#store.engine.ledger.tally().then(
      (tallies) => {
        const rows = tallies.find((each) => each.sub === this.sub)?.rows;
        this.runner.heldBound.is((rows?.held ?? 0) + (rows?.deferred ?? 0));
      },
      (error: unknown) => this.#unlessItMayPass(error),
    );
  }
  /** Nobody serves the newer definition any more (it was rolled back): this one becomes the newest again. */
  #reinstate(): void {
    this.#unservedSinceMs = undefined;
    const { log, ledger } = this.#store.engine;
    const { spec } = this.runner;
    const known = isProjection(spec) ? { sub: this.sub } : {};
    enrol(log, ledger, spec, { reinstate: true, ...known }).then(
      (entry) => this.runner.enrolledAs(entry),
      (error: unknown) => this.#unlessItMayPass(error),
    );
  }
  /** A busy store is asked again after a later round. */
  #unlessItMayPass(error: unknown): void {
    if (isProjection(this.runner.spec) && hasCode(error, "NOT_FOUND")) return;
    if (!mayPass(error)) this.runner.world.fail(error);
  }
}
