import { CommanderError } from "commander";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { endQuietlyWithoutReader, Output } from "./output.ts";
import { factlogCommand } from "./program.ts";

/** Runs one command line (without the interpreter and the script). Answers the exit code; see exit-codes.ts. */
export async function main(argv: readonly string[]): Promise<ExitCode> {
  endQuietlyWithoutReader();
  let code: ExitCode = exitCodes.ok;
  const program = factlogCommand((ended) => void (code = ended), argv.includes("--json") ? "quiet" : "loud");
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return exitCodes.ok;
    if (argv.includes("--json")) new Output({ json: true }).fail(error);
    return exitCodes.usage;
  }
  return code;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
