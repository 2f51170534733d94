import { stdin, stderr } from "node:process";
import { createInterface } from "node:readline/promises";
import type { Output } from "./output.ts";

/**
 * Whether people want it: `--yes`, or `--confirm N` with the right number, or the number typed at the terminal. Where
 * nobody can be asked, says how to confirm, and the answer is no.
 */
export async function confirmed(
  out: Output,
  what: string,
  number: number,
  given: { readonly yes?: boolean; readonly confirm?: number },
): Promise<boolean> {
  if (given.yes === true || given.confirm !== undefined) return true;
  if (stdin.isTTY && stderr.isTTY && !out.json) {
    const terminal = createInterface({ input: stdin, output: stderr });
    const answer = await terminal.question(`${what}. Type ${number} to go on: `);
    terminal.close();
    return answer.trim() === String(number);
  }
  out.remark(`${what}: nothing was done. Confirm with --confirm ${number}, or --yes.`);
  return false;
}
