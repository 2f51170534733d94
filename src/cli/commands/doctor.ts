import type { Command } from "commander";
import type { Finding } from "../../engine/engine.ts";
import { type AppFile, appIfAny } from "../app-file.ts";
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
    const findings = [node(), ...(app === undefined ? [] : [schemas(app)]), ...(await log.inspect())];
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

const node = (): Finding => ({
  check: "node",
  ok: true,
  message: `${process.version} on ${process.platform} ${process.arch}`,
});

/** No fault, but what a read costs: see `fingerprintOf`. */
function schemas({ spec, name }: AppFile): Finding {
  const always = [...spec.events.values()].filter((event) => event.fingerprint === "").map((event) => event.type);
  const message =
    always.length === 0
      ? `data of all ${plural(spec.events.size, "event type")} in ${name} are checked once, when published`
      : `data of ${always.join(", ")} are checked again on every read: the schema tells no JSON Schema, or may change values`;
  return { check: "schemas", ok: true, message };
}
