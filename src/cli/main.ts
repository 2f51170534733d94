import { CommanderError } from "commander";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { endQuietlyWithoutReader } from "./output.ts";
import { factlogCommand } from "./program.ts";

/** Runs one command line (without the interpreter and the script). Answers the exit code; see exit-codes.ts. */
export async function main(argv: readonly string[]): Promise<ExitCode> {
  endQuietlyWithoutReader();
  let code: ExitCode = exitCodes.ok;
  try {
    await factlogCommand((ended) => void (code = ended)).parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  return code;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
