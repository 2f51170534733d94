import type { Command } from "commander";
import { defineSubscription, specOf, type SubscriptionSpec } from "../../app/subscription.ts";
import { FactlogError } from "../../errors.ts";
import { defineEvent } from "../../event/define.ts";
import { enrol } from "../../runtime/enrol.ts";
import { loadApp, requireAppFile } from "../app-file.ts";
import { act, type Call, type Finish, listOption, withCommonOptions } from "../command.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { count, nearest, plural } from "../format.ts";
import { fromHelp, fromOf } from "../from.ts";
import { type OpenedLog, withLog } from "../open.ts";
import { Option } from "commander";

interface CreateOptions {
  readonly app?: string;
  readonly types?: readonly string[];
  readonly order?: "key" | "none" | "log";
  readonly from?: string;
}

interface KeyOption {
  readonly key?: string;
  readonly group?: string;
}

export function addSubscription(program: Command, finish: Finish): void {
  const group = program
    .command("subscription")
    .description("create, pause, resume, retire and rename subscriptions")
    .helpCommand(false);
  const create = group
    .command("create")
    .description("create a subscription where --from says, before its first worker starts: the answer to FROM_REQUIRED")
    .argument("<name>", "as the app names it")
    .option("--app <file>", "the app that defines it (default: app.ts here)")
    .addOption(listOption("--types <types>", "event types, where no app is at hand"))
    .addOption(new Option("--order <order>", "with --types").choices(["key", "none", "log"]))
    .option("--from <place>", fromHelp);
  act<CreateOptions>(withCommonOptions(create), finish, createSubscription);
  const pause = group
    .command("pause")
    .description("start no more handlers of it, in any process, until it is resumed; what runs goes on to its end")
    .argument("<name>")
    .option("--key <key>", "only this key's: its later events are held, other keys go on")
    .option("--group <group>", "only this group's: its later events wait, other groups go on");
  act<KeyOption>(withCommonOptions(pause), finish, (call, name) => pauseSubscription(call, name, true));
  const resume = group
    .command("resume")
    .description("go on where it was paused")
    .argument("<name>")
    .option("--key <key>", "only this key's pause ends")
    .option("--group <group>", "only this group's pause ends");
  act<KeyOption>(withCommonOptions(resume), finish, (call, name) => pauseSubscription(call, name, false));
  const retire = group
    .command("retire")
    .description("remove a subscription with its progress and dead letters; the events stay")
    .argument("<name>")
    .option("--yes", "do it: it cannot be undone");
  act<{ readonly yes?: boolean }>(withCommonOptions(retire), finish, retireSubscription);
  const rename = group
    .command("rename")
    .description("rename a subscription; its progress goes with it. Deploy the new name at once")
    .argument("<old>")
    .argument("<new>");
  act(withCommonOptions(rename), finish, renameSubscription);
}

async function createSubscription(call: Call<CreateOptions>, name = ""): Promise<void> {
  const { options, out } = call;
  const spec = options.types === undefined ? await specInApp(options, name) : specOfTypes(name, options);
  await withLog(call, "create", async (opened) => {
    const { log, ledger } = opened.store.engine;
    if ((await ledger.tally()).some((each) => each.name === name && each.state !== "retired")) {
      throw new FactlogError("CONFLICT", `${name} is there already (see \`factlog status\`): nothing was changed.`, {
        details: { subscription: name },
      });
    }
    const from = options.from === undefined ? spec.from : fromOf(options.from, opened);
    await enrol(log, ledger, { ...spec, from });
    const depth = (await statusOf(opened, name)).depth;
    const types = spec.on.map((event) => event.type);
    out.object({ log: opened.name, created: name, types, depth });
    out.say(`created ${name} on ${types.join(", ")}: ${plural(depth, "event")} to go  (${opened.name})`);
  });
}

async function specInApp(options: CreateOptions, name: string): Promise<SubscriptionSpec> {
  const app = await loadApp(requireAppFile(options.app, "a subscription's definition comes from the app"));
  const spec = app.spec.subscriptions.find((each) => each.name === name);
  if (spec !== undefined) return spec;
  const known = app.spec.subscriptions.map((each) => each.name);
  const close = nearest(name, known);
  throw new FactlogError(
    "UNKNOWN_SUBSCRIPTION",
    `${app.name} has no subscription ${name}: it has ${known.join(", ")}.${close === undefined ? "" : ` Did you mean ${close}?`}`,
    { details: { subscription: name, known } },
  );
}

/** As far as the log needs it: its worker brings the rest. */
function specOfTypes(name: string, { types = [], order = "key" }: CreateOptions): SubscriptionSpec {
  const anything = {
    "~standard": { version: 1 as const, vendor: "factlog", validate: (value: unknown) => ({ value }) },
  };
  const on = types.map((type) => defineEvent(type, { schema: anything }));
  return specOf(defineSubscription(name, { on, order }, () => {}));
}

async function statusOf(
  { log }: OpenedLog,
  name: string,
): Promise<{ readonly dead: number; readonly depth: number; readonly closed: number }> {
  const status = (await log.operator.status()).find((each) => each.name === name);
  if (status !== undefined) return status;
  throw new FactlogError("NOT_FOUND", `this log has no subscription ${name}: see \`factlog status\`.`, {
    details: { subscription: name },
  });
}

async function retireSubscription(call: Call<{ readonly yes?: boolean }>, name = ""): Promise<ExitCode> {
  const { out, options } = call;
  return withLog(call, "refuse", async (opened) => {
    const { closed, depth, dead } = await statusOf(opened, name);
    const loss = { closed, depth, dead };
    const text = `${count(closed)} done, ${count(depth)} to go, ${count(dead)} dead`;
    if (options.yes !== true) {
      out.object({ log: opened.name, retired: false, subscription: name, ...loss });
      out.remark(`retiring ${name} forgets its progress (${text}): nothing was done. Confirm with --yes.`);
      return exitCodes.notWell;
    }
    await opened.log.operator.retire(name);
    out.object({ log: opened.name, retired: true, subscription: name, ...loss });
    out.say(`retired ${name} (${text})  (${opened.name})`);
    return exitCodes.ok;
  });
}

async function pauseSubscription(call: Call<KeyOption>, name = "", isPaused = true): Promise<void> {
  const { out, options } = call;
  await withLog(call, "refuse", async (opened) => {
    const { operator } = opened.log;
    const { key, group } = options;
    const only = { ...(key === undefined ? {} : { key }), ...(group === undefined ? {} : { group }) };
    await (isPaused ? operator.pause(name, only) : operator.resume(name, only));
    out.object({ log: opened.name, subscription: name, ...only, paused: isPaused });
    const part = key === undefined ? (group === undefined ? "" : `group ${group} of `) : `key ${key} of `;
    out.say(`${part}${name} is ${isPaused ? "paused" : "resumed"}  (${opened.name})`);
  });
}

async function renameSubscription(call: Call, name = "", to = ""): Promise<void> {
  await withLog(call, "refuse", async (opened) => {
    await opened.log.operator.rename(name, to);
    call.out.object({ log: opened.name, renamed: name, to });
    call.out.say(`renamed ${name} to ${to}: deploy the new name at once  (${opened.name})`);
  });
}
