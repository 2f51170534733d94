import { type Command, Option } from "commander";
import { FactlogError } from "../../errors.ts";
import { deadLetterJson, deadLetterSummary } from "../../runtime/dead-letter-json.ts";
import type { RedriveFrom } from "../../runtime/redrive-from.ts";
import type { DeadLetter, DeadLetterFilter } from "../../runtime/operator.ts";
import { act, type Call, type Finish, numberOption, withCommonOptions } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { placeOf, plural } from "../format.ts";
import { addRedriveJobs, jobInsteadOf, type JobOptions } from "./redrive-jobs.ts";
import { type OpenedLog, withLog } from "../open.ts";
import type { Output } from "../output.ts";

interface RedriveOptions extends DeadLetterFilter, JobOptions {
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly confirm?: number;
  readonly from?: string;
  readonly fresh?: boolean;
}

export function addDead(program: Command, finish: Finish): void {
  const group = program
    .command("dead")
    .description("look at dead letters, deliver them again, discard them")
    .helpCommand(false);
  const list = group.command("list").description("list dead letters");
  act<DeadLetterFilter>(withCommonOptions(withFilter(list)), finish, listLetters);
  const show = group
    .command("show")
    .description("show one with its event and every failure")
    .argument("<id>", "as `dead list` shows it");
  act(withCommonOptions(show), finish, showLetter);
  const redrive = group
    .command("redrive")
    .description("deliver dead letters again, in place: same event, same position, same idempotency keys")
    .argument("[ids...]", "as `dead list` shows them")
    .option("--all", "all of them, or all that the filters leave");
  withFilter(redrive)
    .option("--from <step>", "forget this step of theirs, and what came after it: it runs again, under the same keys")
    .addOption(
      new Option("--fresh", "forget all steps, under other keys: effects are done once more").conflicts("from"),
    )
    .option("--dry-run", "only say how many, and of which keys")
    .option("--job", "as a job that workers run and that outlives this command: for thousands")
    .addOption(numberOption("--rate <number>", "as a job, so many a second at most"))
    .option("--yes", "without asking")
    .addOption(numberOption("--confirm <number>", "only if it is this many"));
  act<RedriveOptions>(withCommonOptions(redrive), finish, (call, ids) =>
    redriveLetters(call, ids as unknown as readonly string[]),
  );
  addRedriveJobs(group, finish);
  const discard = group
    .command("discard")
    .description("close dead letters for good, unprocessed; later events of their keys go on")
    .argument("<ids...>", "as `dead list` shows them")
    .addOption(new Option("--reason <text>", "kept in the log").makeOptionMandatory());
  act<{ readonly reason: string }>(withCommonOptions(discard), finish, (call, ids) =>
    discardLetters(call, ids as unknown as readonly string[]),
  );
}

function withFilter(command: Command): Command {
  return command
    .option("--subscription <name>", "only of this subscription")
    .option("--key <key>", "only of this key")
    .option("--group <group>", "only of this group")
    .option("--type <type>", "only of this event type")
    .option("--fingerprint <fingerprint>", "only failures that look like this one");
}

function filterOf({ subscription, key, group, type, fingerprint }: DeadLetterFilter): DeadLetterFilter {
  return Object.fromEntries(
    Object.entries({ subscription, key, group, type, fingerprint }).filter(([, value]) => value !== undefined),
  );
}

async function listLetters(call: Call<DeadLetterFilter>): Promise<void> {
  const { out, options } = call;
  await withLog(call, "refuse", async ({ log, name }) => {
    const rows: (string | number)[][] = [];
    for await (const letter of log.operator.deadLetters(filterOf(options))) {
      out.object(deadLetterSummary(letter));
      await out.ready();
      if (!out.json) rows.push(rowOf(letter));
    }
    if (rows.length === 0) return out.say(`no dead letters  (${name})`);
    out.table(
      ["id", "type", "event", "key", "class", "failures", "crashes", "blocks its key", "fingerprint", "error"],
      rows,
    );
    out.say(`${plural(rows.length, "dead letter")}: factlog dead show|redrive|discard ID  (${name})`);
  });
}

const firstLine = (text: string | undefined): string => text?.split("\n")[0] ?? "";
const shorten = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 3)}...`);

function rowOf(letter: DeadLetter): (string | number)[] {
  const { id, event, eventId, key, failures, crashes, blocksKey, fingerprint } = letter;
  const error = shorten(firstLine(letter.attempts.at(-1)?.error), 80);
  return [
    id,
    event?.type ?? "?",
    eventId,
    key ?? "-",
    letter.class,
    failures,
    crashes,
    blocksKey ? "yes" : "no",
    fingerprint,
    error,
  ];
}

async function showLetter(call: Call, id = ""): Promise<void> {
  await withLog(call, "refuse", async ({ log }) => {
    const letter = await log.operator.deadLetter(id);
    call.out.object(deadLetterJson(letter));
    if (!call.out.json) describe(call.out, letter);
  });
}

function describe(out: Output, letter: DeadLetter): void {
  const { id, event, failures, crashes, attempts } = letter;
  out.say(`${id}  ${event?.type ?? "?"} ${letter.eventId} -> ${letter.subscription}`);
  out.say(
    `  key ${letter.key ?? "-"}, correlation ${letter.correlationId}, at ${event === undefined ? "?" : placeOf(event.position)}`,
  );
  out.say(
    `  ${plural(failures, "failure")}, ${plural(crashes, "crash", "crashes")}, fingerprint ${letter.fingerprint}`,
  );
  out.say(letter.blocksKey ? "  later events of its key wait for it" : "  later events go on without it");
  out.say(
    event === undefined
      ? "  the event cannot be read, or retention took it"
      : `  data ${Buffer.from(event.raw()).toString()}`,
  );
  for (const [i, attempt] of attempts.entries()) {
    out.say(`  ${i + 1}. ${attempt.at.toISOString()}  ${attempt.class}`);
    out.sayAll(attempt.error.replaceAll(/^/gmu, "     "));
  }
  out.say(`then: factlog dead redrive ${id}   or: factlog dead discard ${id} --reason "..."`);
}

async function redriveLetters(call: Call<RedriveOptions>, ids: readonly string[]): Promise<ExitCode> {
  const { out, options } = call;
  const filter = filterOf(options);
  requireChoice(ids, filter, options.all);
  if (options.dryRun === true || options.job === true || options.rate !== undefined)
    return jobInsteadOf(call, ids, filter);
  return withLog(call, "refuse", async ({ log, name }) => {
    const found = ids.length > 0 ? ids : await idsOf(log, filter);
    const number = found.length;
    if (
      number > 0 &&
      ids.length === 0 &&
      !(await confirmed(out, `${plural(number, "dead letter")} would be delivered again`, number, options))
    ) {
      out.object({ log: name, redriven: 0, found: number });
      return exitCodes.notWell;
    }
    await requireAll(log, found);
    const { redriven } = await log.operator.redrive(found, {
      confirm: options.confirm ?? number,
      ...fromOf(options),
    });
    out.object({ log: name, redriven, found: number });
    out.say(`${plural(redriven, "dead letter")} will be delivered again  (${name})`);
    return exitCodes.ok;
  });
}

function fromOf({ from, fresh }: RedriveOptions): { readonly from?: RedriveFrom } {
  if (fresh === true) return { from: "fresh" };
  return from === undefined ? {} : { from: { step: from } };
}

function requireChoice(ids: readonly string[], filter: DeadLetterFilter, all: boolean | undefined): void {
  const filtered = all === true || Object.keys(filter).length > 0;
  if (ids.length > 0 !== filtered) return;
  throw new FactlogError(
    "INVALID_OPTION",
    "name dead letters by their ids, or choose them with --all or filters: one of the two. Nothing was done.",
  );
}

/** Either all can be found, or nothing is done. */
async function requireAll(log: OpenedLog["log"], ids: readonly string[]): Promise<void> {
  for (const id of ids) await log.operator.deadLetter(id);
}

async function idsOf(log: OpenedLog["log"], filter: DeadLetterFilter): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const { id } of log.operator.deadLetters(filter)) ids.push(id);
  return ids;
}

async function discardLetters(call: Call<{ readonly reason: string }>, ids: readonly string[]): Promise<void> {
  await withLog(call, "refuse", async ({ log, name }) => {
    await requireAll(log, ids);
    await log.operator.discard(ids, { reason: call.options.reason });
    call.out.object({ log: name, discarded: ids.length, reason: call.options.reason });
    call.out.say(`${plural(ids.length, "dead letter")} discarded: ${call.options.reason}  (${name})`);
  });
}
