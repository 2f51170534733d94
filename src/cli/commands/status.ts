import type { Command } from "commander";
import type { SubscriptionStatus } from "../../runtime/operator.ts";
import { appIfAny } from "../app-file.ts";
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
    const subscriptions = await opened.log.operator.status(app?.app);
    const missing =
      app?.app.subscriptionNames.filter((name) => !subscriptions.some((each) => each.name === name)) ?? [];
    out.object({ log: opened.name, head: head.place, subscriptions, notStarted: missing });
    out.say(`${opened.name}  head at ${head.place}`);
    show(out, subscriptions);
    for (const name of missing) out.say(`${name}  has never run on this log`);
    advise(out, subscriptions);
  });
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
