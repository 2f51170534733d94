import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addApprovals } from "./commands/approvals.ts";
import { addBackup, addRestore } from "./commands/backup.ts";
import { addDead } from "./commands/dead.ts";
import { addDelayed } from "./commands/delayed.ts";
import { addDemo } from "./commands/demo.ts";
import { addDev } from "./commands/dev.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExport } from "./commands/export.ts";
import { addImport } from "./commands/import.ts";
import { addInit } from "./commands/init.ts";
import { addPublish } from "./commands/publish.ts";
import { addReplay } from "./commands/replay.ts";
import { addStart } from "./commands/start.ts";
import { addStatus } from "./commands/status.ts";
import { addSubscription } from "./commands/subscription.ts";
import { addToken } from "./commands/token.ts";
import { addTrace } from "./commands/trace.ts";
import { addTail } from "./commands/tail.ts";
import type { Finish } from "./command.ts";
import { exitCodeTable } from "./exit-codes.ts";

/** The whole command line as a value: parsed by `main`, read by the reference page. `quiet`: it shows no errors itself. */
export function factlogCommand(finish: Finish, errors: "loud" | "quiet" = "loud"): Command {
  const program = new Command("factlog")
    .description("A durable event log for TypeScript, inside the database you already have.")
    .version(version(), "--version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .showHelpAfterError(errors === "quiet" ? false : "Run it with --help to see how it is used.")
    .exitOverride()
    .configureOutput(errors === "quiet" ? { outputError: () => {} } : {})
    .addHelpText(
      "after",
      `\nExit codes:\n${exitCodeTable.map(([code, meaning]) => `  ${code}  ${meaning}`).join("\n")}`,
    );
  for (const add of [
    addInit,
    addDemo,
    addDev,
    addStart,
    addPublish,
    addTail,
    addTrace,
    addStatus,
    addSubscription,
    addReplay,
    addDead,
    addDelayed,
    addApprovals,
    addToken,
    addDoctor,
    addBackup,
    addRestore,
    addExport,
    addImport,
  ]) {
    add(program, finish);
  }
  return program;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly version: string;
  };
  return manifest.version;
}
