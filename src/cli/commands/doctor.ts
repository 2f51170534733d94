import type { Command } from "commander";
import type { Finding } from "../../engine/engine.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { plural } from "../format.ts";
import { withLog } from "../open.ts";

export function addDoctor(program: Command, finish: Finish): void {
  const command = program
    .command("doctor")
    .description(
      "check the log: integrity, that no delivery is lost or counted twice, durability settings; exit code 3 if one is not well",
    );
  act(withCommonOptions(command), finish, doctor);
}

async function doctor(call: Call): Promise<ExitCode> {
  return withLog(call, "refuse", async ({ log, name }) => {
    const findings: readonly Finding[] = [node(), ...(await log.inspect())];
    const bad = findings.filter((finding) => !finding.ok).length;
    call.out.object({ log: name, ok: bad === 0, findings });
    call.out.say(log.description);
    for (const { check, ok, message } of findings)
      call.out.say(`${ok ? "ok      " : "not ok  "}${check}: ${message}`, ok ? "plain" : "bad");
    call.out.say(
      bad === 0
        ? `all is well: ${plural(findings.length, "check")}`
        : `${plural(bad, "check")} of ${findings.length} not well`,
      bad === 0 ? "good" : "bad",
    );
    return bad === 0 ? exitCodes.ok : exitCodes.notWell;
  });
}

const node = (): Finding => ({
  check: "node",
  ok: true,
  message: `${process.version} on ${process.platform} ${process.arch}`,
});
