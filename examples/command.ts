/** A command line of the examples: help, a summary in the end, and exit codes. */
import { InputError as ResearchInputError } from "./research/documents.ts";
import { InputError } from "./shop/input.ts";

export interface Command<F, S> {
  readonly help: string;
  /** Undefined: help is wanted. */
  readonly flags: (args: readonly string[]) => F | undefined;
  /** Undefined: interrupted. */
  readonly play: (flags: F) => Promise<S | undefined>;
  readonly text: (summary: S) => string;
}

export async function command<
  F extends { readonly json: boolean; readonly once: boolean; readonly drill?: boolean },
  S extends { readonly ok: boolean },
>({ help, flags: parse, play, text }: Command<F, S>): Promise<void> {
  try {
    const flags = parse(process.argv.slice(2));
    if (flags === undefined) return console.log(help);
    const summary = await play(flags);
    if (summary !== undefined) console.log(flags.json ? JSON.stringify(summary) : text(summary));
    const endless = !flags.once && flags.drill !== true;
    process.exitCode = summary === undefined ? (endless ? 0 : 130) : summary.ok ? 0 : 1;
  } catch (error) {
    const isUsage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
    if (!(error instanceof InputError || error instanceof ResearchInputError || isUsage)) throw error;
    console.error(isUsage ? `${error.message}\n\n${help}` : error.message);
    process.exitCode = 2;
  }
}
