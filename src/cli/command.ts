import { type Command, InvalidArgumentError, Option } from "commander";
import { hasCode } from "../errors.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { Output } from "./output.ts";

export interface CommonOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly url?: string;
}
/** One call of a command. */
export interface Call<O extends object = object> {
  readonly out: Output;
  readonly options: CommonOptions & O;
}
/** Hears the exit code of the command that ran. */
export type Finish = (code: ExitCode) => void;

/** Adds the options that every command has. */
export function withCommonOptions(command: Command, url: "with-url" | "without-url" = "with-url"): Command {
  if (url === "with-url")
    command.option(
      "--url <address>",
      "the log, as in sqlite:shop.db (default: FACTLOG_URL, else .factlog/dev.db if it is here, else factlog.db)",
    );
  return command
    .option("--json", "JSON instead of text: one object, or one a line")
    .option("--verbose", "show the stack of errors");
}

/** Makes `run` the command's action: its errors are shown once, its answer is the exit code. */
export function act<O extends object>(
  command: Command,
  finish: Finish,
  run: (call: Call<O>, ...args: readonly string[]) => Promise<ExitCode | void>,
): void {
  command.action(async () => {
    const options = command.opts<CommonOptions & O>();
    const out = new Output(options);
    try {
      finish((await run({ out, options }, ...(command.processedArgs as readonly string[]))) ?? exitCodes.ok);
    } catch (error) {
      out.fail(error);
      finish(hasCode(error, "INVALID_OPTION") ? exitCodes.usage : exitCodes.failed);
    }
  });
}

/** `--only a,b`, also given several times. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, before: readonly string[] | undefined) => [
    ...(before ?? []),
    ...text
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== ""),
  ]);
}

/** A whole number of at least `min`. */
export function numberOption(flags: string, description: string, min = 0): Option {
  return new Option(flags, description).argParser((text: string) => {
    const value = Number(text);
    if (/^\d+$/u.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`Give a whole number of at least ${min}.`);
  });
}

export const portOption = (): Option =>
  numberOption("--http <port>", "serve HTTP on this port of 127.0.0.1 too (0: any free one)");
