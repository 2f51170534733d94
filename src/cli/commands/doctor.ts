import type { Command } from "commander";
import { appIfAny } from "../app-file.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { plural } from "../format.ts";
import { withLog } from "../open.ts";

interface DoctorOptions {
  readonly app?: string;
}

export function addDoctor(program: Command, finish: Finish): void {
  const command = program
    .command("doctor")
    .description(
      "check the log: its file, its checksums, that no delivery is lost or counted twice, its durability settings",
    )
    .option("--app <file>", "the app whose schemas are looked at (default: app.ts here, if there is one)");
  act<DoctorOptions>(withCommonOptions(command), finish, doctor);
}

async function doctor(call: Call<DoctorOptions>): Promise<ExitCode> {
  const { out } = call;
  const app = await appIfAny(call.options.app, out);
  return withLog(call, "refuse", async ({ log, name }) => {
    const findings = await log.inspect(app?.app);
    const bad = findings.filter((finding) => !finding.ok).length;
    out.object({ log: name, ok: bad === 0, findings });
    out.say(log.description);
    for (const { check, ok, message } of findings) {
      out.say(`${ok ? "ok      " : "not ok  "}${check}: ${message}`, ok ? "plain" : "bad");
    }
    if (bad === 0) out.say(`all is well: ${plural(findings.length, "check")}`, "good");
    else out.say(`${bad} of ${plural(findings.length, "check")} not well`, "bad");
    return bad === 0 ? exitCodes.ok : exitCodes.notWell;
  });
}
