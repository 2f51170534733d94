import type { Command } from "commander";
import { FactlogError } from "../../errors.ts";
import type { DeadLetterFilter } from "../../runtime/operator.ts";
import type { RedriveJob } from "../../runtime/redrives.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { plural } from "../format.ts";
import { withLog } from "../open.ts";

export interface JobOptions {
  readonly dryRun?: boolean;
  readonly job?: boolean;
  readonly rate?: number;
  readonly yes?: boolean;
  readonly confirm?: number;
  readonly from?: string;
  readonly fresh?: boolean;
}

export function addRedriveJobs(group: Command, finish: Finish): void {
  const jobs = group.command("jobs").description("redrives that run as jobs, and how far they are");
  act(withCommonOptions(jobs), finish, listJobs);
  const cancel = group
    .command("cancel")
    .description("end a redrive job: what it has not delivered stays dead")
    .argument("<job>", "as `dead jobs` shows it");
  act(withCommonOptions(cancel), finish, cancelJob);
}

/** `dead redrive` with --dry-run, --job or --rate. */
export async function jobInsteadOf(
  call: Call<JobOptions>,
  ids: readonly string[],
  filter: DeadLetterFilter,
): Promise<ExitCode> {
  const { out, options } = call;
  if (ids.length > 0 || options.from !== undefined)
    throw new FactlogError(
      "INVALID_OPTION",
      "a job and a dry run choose with --all or filters, without ids and --from. Nothing was done.",
    );
  return withLog(call, "refuse", async ({ log, name }) => {
    const plan = await log.operator.redrives.plan(filter);
    const number = plan.deadLetters;
    if (options.dryRun === true) {
      out.object({ log: name, ...plan });
      const rows = plan.keys.map((each) => [
        each.subscription,
        each.key ?? "-",
        each.deadLetters,
        each.blocksKey ? "what waits behind them follows" : "later events have gone on",
      ]);
      if (rows.length > 0) out.table(["subscription", "key", "dead letters", "effect"], rows);
      out.say(`${plural(number, "dead letter")} would be delivered again: nothing was done  (${name})`);
      return exitCodes.ok;
    }
    if (
      number > 0 &&
      !(await confirmed(out, `${plural(number, "dead letter")} would be delivered again`, number, options))
    ) {
      out.object({ log: name, job: null, found: number });
      return exitCodes.notWell;
    }
    const job = await log.operator.redrives.start(filter, {
      confirm: options.confirm ?? number,
      ...(options.rate === undefined ? {} : { ratePerSecond: options.rate }),
      ...(options.fresh === undefined ? {} : { fresh: options.fresh }),
    });
    out.object({ log: name, job: job.id, found: number });
    out.say(`job ${job.id}: ${plural(number, "dead letter")}; see \`factlog dead jobs\`  (${name})`);
    return exitCodes.ok;
  });
}

async function listJobs(call: Call): Promise<void> {
  const { out } = call;
  await withLog(call, "refuse", async ({ log, name }) => {
    const jobs = await log.operator.redrives.list();
    for (const job of jobs) out.object(job);
    if (jobs.length === 0) return out.say(`no redrive jobs  (${name})`);
    out.table(["job", "state", "chosen", "left", "underway", "a second", "since"], jobs.map(rowOf));
  });
}
const rowOf = (job: RedriveJob): (string | number)[] => [
  job.id,
  job.state,
  job.total,
  job.left,
  job.underway,
  job.ratePerSecond ?? "-",
  job.createdAt.toISOString(),
];

async function cancelJob(call: Call, id = ""): Promise<void> {
  await withLog(call, "refuse", async ({ log, name }) => {
    await log.operator.redrives.cancel(id);
    const { left, total } = await log.operator.redrives.show(id);
    call.out.object({ log: name, cancelled: id, left, total });
    call.out.say(`cancelled: ${left} of ${plural(total, "dead letter")} were not delivered again  (${name})`);
  });
}
