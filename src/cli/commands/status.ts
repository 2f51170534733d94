import type { Command } from "commander";
import type { OutboxState } from "../../engine/event-log.ts";
import type { SubscriptionStatus } from "../../runtime/operator.ts";
import { type AppFile, appIfAny } from "../app-file.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { age, plural } from "../format.ts";
import { withLog } from "../open.ts";
import type { Output } from "../output.ts";
import { headOf } from "../recent.ts";

interface StatusOptions {
  readonly app?: string;
}

export function addStatus(program: Command, finish: Finish): void {
  const command = program
    .command("status")
    .description("show every subscription: what it owes, and what stands in its way")
    .option("--app <file>", "the app to compare with (default: app.ts here, if there is one)");
  act<StatusOptions>(withCommonOptions(command), finish, status);
}

async function status(call: Call<StatusOptions>): Promise<void> {
  const { out } = call;
  const app = await appIfAny(call.options.app, out);
  await withLog(call, "refuse", async (opened) => {
    const head = await headOf(opened);
    const statuses = await opened.log.operator.status();
    const subscriptions = statuses.map((each) => ({ ...each, state: stateOf(each, app) }));
    const missing =
      app?.spec.subscriptions
        .map((each) => each.name)
        .filter((name) => !subscriptions.some((each) => each.name === name)) ?? [];
    const outbox = await opened.log.operator.outbox();
    out.object({ log: opened.name, head: head.place, subscriptions, notStarted: missing, outbox });
    out.say(`${opened.name}  head at ${head.place}`);
    show(out, subscriptions);
    for (const name of missing) out.say(`${name}  has never run on this log`);
    advise(out, subscriptions);
    if (outbox !== undefined) showOutbox(out, outbox);
  });
}

function showOutbox(out: Output, { depth, oldestMs, refused }: OutboxState): void {
  if (depth > 0) out.say(`outbox: ${plural(depth, "event")} waiting, the oldest for ${age(oldestMs)}`);
  if (refused > 0) out.say(`outbox: ${plural(refused, "event")} refused: factlog doctor names them`, "bad");
}

function stateOf(subscription: SubscriptionStatus, app: AppFile | undefined): SubscriptionStatus["state"] {
  if (subscription.state !== "active" || app === undefined) return subscription.state;
  return app.spec.subscriptions.some((each) => each.name === subscription.name) ? "active" : "unknown-to-this-app";
}

function show(out: Output, subscriptions: readonly SubscriptionStatus[]): void {
  if (subscriptions.length === 0)
    return out.say("no subscription has run on this log: `factlog dev app.ts` starts those of an app");
  out.table(
    ["subscription", "state", "depth", "lag", "in flight", "retrying", "held", "dead", "blocked keys", "workers"],
    subscriptions.map((each) => [
      each.name,
      each.state,
      each.depth,
      each.depth === 0 ? "-" : age(each.lagMs),
      each.inFlight,
      each.retrying,
      each.held,
      each.dead,
      each.blockedKeys,
      each.workers,
    ]),
  );
}

function advise(out: Output, subscriptions: readonly SubscriptionStatus[]): void {
  const dead = subscriptions.reduce((sum, each) => sum + each.dead, 0);
  if (dead > 0) out.say(`${plural(dead, "dead letter")}: factlog dead list`, "bad");
  for (const { name, state } of subscriptions) {
    if (state === "stopped") out.say(`${name} has stopped: redrive or discard its dead letters`, "bad");
    if (state === "unknown-to-this-app")
      out.say(`${name} is not in this app: factlog subscription rename|retire ${name}`);
  }
  const idle = subscriptions.filter((each) => each.workers === 0 && each.depth > 0).map((each) => each.name);
  if (idle.length > 0) out.say(`no worker runs for ${idle.join(", ")}: factlog start app.ts`);
}
