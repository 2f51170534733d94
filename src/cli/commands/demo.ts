import type { Command } from "commander";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { Story } from "../demo/story.ts";
import type { DemoSummary } from "../demo/summary.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import type { Output } from "../output.ts";

interface DemoOptions {
  readonly fast?: boolean;
}

export function addDemo(program: Command, finish: Finish): void {
  const command = program
    .command("demo")
    .description(
      "play the night at 2 AM for real, in about 20 seconds: a crash, poison, a late reader, and a count at the end",
    )
    .option("--fast", "without pauses for reading");
  act<DemoOptions>(withCommonOptions(command, "without-url"), finish, demo);
}

async function demo({ out, options }: Call<DemoOptions>): Promise<ExitCode> {
  const summary = await new Story(out, options.fast === true || out.json).tell();
  out.object(summary);
  if (!out.json) show(out, summary);
  return summary.ok ? exitCodes.ok : exitCodes.notWell;
}

function show(out: Output, summary: DemoSummary): void {
  const {
    ok,
    orders,
    stored,
    paid,
    reserved,
    lost,
    doubleEffects,
    repeatedCalls,
    kills,
    deadLettersLeft,
    forecast,
    seconds,
  } = summary;
  out.say("");
  out.say("Counted from what payment and warehouse were told:");
  out.table(
    [
      "orders",
      "stored",
      "paid",
      "reserved",
      "lost",
      "done twice",
      "calls repeated",
      "kills",
      "dead letters left",
      "in the forecast",
    ],
    [[orders, stored, paid, reserved, lost, doubleEffects, repeatedCalls, kills, deadLettersLeft, forecast]],
  );
  out.say(
    ok
      ? `All is as it should be, after ${seconds} s. Its files are removed.`
      : "THIS IS NOT AS IT SHOULD BE: please report it.",
    ok ? "good" : "bad",
  );
  if (ok) out.say("Next: factlog init");
}
