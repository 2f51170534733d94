import type { AlertSpec, AlertTarget } from "../app/alerts.ts";
import type { AppSpec } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import type { Env, Timer } from "../env.ts";
import { limits } from "../limits.ts";
import { type Alert, Alerts } from "../observe/alerts.ts";
import { alertStage } from "../observe/channels.ts";
import { Outlet } from "../webhook/outlet.ts";
import { describeFailure } from "./failure.ts";
import type { Measures } from "./measures.ts";

/** What an alarm needs of the process around it. */
export interface AlarmWorld {
  readonly env: Env;
  readonly logger: Logger;
  readonly measures: Measures;
  /** Whether this process is the one that speaks of these subscriptions. */
  speaks(subs: ReadonlySet<number>): boolean;
}

/**
 * The alerts of one app in one working process: looks about once a second. Of the processes that work on the app the one
 * with the lowest living session speaks. A store that cannot be looked at changes nothing and stops nothing.
 */
export class Alarm {
  readonly #world: AlarmWorld;
  readonly #app: AppSpec;
  readonly #alerts: Alerts;
  readonly #outlets = new Map<string, Outlet>();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(world: AlarmWorld, app: AppSpec) {
    this.#world = world;
    this.#app = app;
    this.#alerts = new Alerts(app.name, app.alerts);
  }

  start(): void {
    if (this.#app.alerts.length === 0 || this.#stopped) return;
    this.#timer = this.#world.env.after(
      limits.alertEveryMs,
      () => {
        this.#looking = this.#look().finally(() => {
          this.#looking = undefined;
          this.start();
        });
      },
      { upkeep: true },
    );
  }
  async #look(): Promise<void> {
    const { env, measures } = this.#world;
    const names = new Set(this.#app.subscriptions.map((each) => each.name));
    try {
      const seen = (await measures.lookAll()).filter(({ status }) => names.has(status.name));
      const nowMs = env.monotonic();
      this.#alerts.update(
        seen.map(({ status }) => status),
        nowMs,
      );
      const speaking = this.#world.speaks(new Set(seen.map(({ sub }) => sub)));
      for (const alert of this.#alerts.tell(speaking, nowMs, new Date(env.now()))) this.#tell(alert);
    } catch (error) {
      this.#world.logger.debug("alerts could not be looked at", { error: describeFailure("error", error).error });
    }
  }

  #tell(alert: Alert): void {
    if (alertStage.hasSubscribers) alertStage.publish(alert);
    const rule = this.#app.alerts.find(({ name }) => name === alert.alert);
    for (const target of (rule as AlertSpec).to) this.#tellTo(target, alert);
  }
  #tellTo(target: AlertTarget, alert: Alert): void {
    const { message, ...fields } = alert;
    if (target === "stderr") process.stderr.write(`${JSON.stringify({ level: "alert", message, ...fields })}\n`);
    else if (target !== "log") {
      const type = `factlog.alert.${alert.status}`;
      const body = JSON.stringify({ type, timestamp: alert.at, data: alert });
      this.#outletOf(target).push({ id: `msg_${this.#world.env.uuid()}`, body });
    } else if (alert.status === "firing") this.#world.logger.warn(message, fields);
    else this.#world.logger.info(message, fields);
  }
  #outletOf(target: Exclude<AlertTarget, string>): Outlet {
    const name = JSON.stringify([target.webhook, target.secret]);
    const { env, logger } = this.#world;
    const known =
      this.#outlets.get(name) ??
      new Outlet(env, target, ({ error, ...facts }) =>
        logger.error("an alert's webhook was given up", { ...facts, error: describeFailure("error", error).error }),
      );
    this.#outlets.set(name, known);
    return known;
  }

  /** Looks a last time, so that a short run tells of what it leaves behind. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
    if (this.#app.alerts.length > 0) await this.#look();
  }
  /** After `stop`: webhooks that wait get 10 s to go out. */
  async close(): Promise<void> {
    await Promise.all([...this.#outlets.values()].map((outlet) => outlet.stop()));
  }
  /** Ends at once, as when the store has failed. */
  abandon(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
}
