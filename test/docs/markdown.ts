import { readFileSync } from "node:fs";
import { filesMatching } from "../support/source.ts";

/** The documents that users read. */
export const documents = (): string[] => [...filesMatching("*.md"), ...filesMatching("docs/**/*.md")];

export interface Block {
  readonly path: string;
  /** Of its first line of code. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a document. */
export function blocksOf(path: string): Block[] {
  const blocks: Block[] = [];
  let open: { readonly line: number; readonly language: string; readonly lines: string[] } | undefined;
  for (const [index, line] of readFileSync(path, "utf8").split("\n").entries()) {
    const fence = /^```(\w*)\s*$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { line: index + 2, language: fence[1] ?? "", lines: [] };
    else {
      blocks.push({ path, line: open.line, language: open.language, text: open.lines.join("\n") });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: this block does not end`);
  return blocks;
}

/** A document without its blocks. */
export const proseOf = (path: string): string => readFileSync(path, "utf8").replaceAll(/^```[\s\S]*?^```\s*$/gm, "");

/** The cells of every table row of a document, headers and rules left out. */
export function tableRowsOf(path: string): string[][] {
  return proseOf(path)
    .split("\n")
    .filter((line) => /^\|.*\|\s*$/.test(line) && !/^\|[\s:|-]+\|\s*$/.test(line))
    .map((line) =>
      line
        .trim()
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
}

/** A command that a document shows, and the lines that it prints. */
export interface Step {
  readonly command: string;
  readonly output: readonly string[];
}

export function stepsOf(text: string): Step[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const [command = "", ...output] = step.trimEnd().split("\n");
      return { command, output };
    });
}

/** A shown line as a pattern: `…` stands for anything. */
export function patternOf(line: string): RegExp {
  const parts = line.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}
