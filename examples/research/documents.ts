/** What is analysed: the speeches beside this file, and text files. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

export interface Document {
  readonly id: string;
  readonly text: string;
}
/** About as much as a person reads at one go, and less than any model takes. */
const sectionLength = 8_000;

export function speeches(): Document[] {
  const lines = readFileSync(join(import.meta.dirname, "data/state-of-the-union.ndjson"), "utf8")
    .trimEnd()
    .split("\n");
  return lines.map((line) => {
    const { year, speaker, text } = JSON.parse(line) as { year: number; speaker: string; text: string };
    return { id: `${year} ${speaker}`, text };
  });
}

export class InputError extends Error {}
export function textFile(path: string): Document {
  if (!existsSync(path)) throw new InputError(`${path}: there is no such file`);
  return { id: basename(path), text: readFileSync(path, "utf8") };
}

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
export const sentencesOf = (text: string): string[] =>
  Array.from(segmenter.segment(text), ({ segment }) => plain(segment)).filter((sentence) => sentence !== "");
/** Line breaks and runs of spaces say nothing. */
export const plain = (text: string): string => text.replaceAll(/\s+/gu, " ").trim();

/** Whole sentences, in order; the same text has the same sections in every run. */
export function sectionsOf(text: string): string[] {
  const sections: string[] = [];
  for (const sentence of sentencesOf(text)) {
    const last = sections.at(-1);
    if (last === undefined || last.length + sentence.length > sectionLength) sections.push(sentence);
    else sections[sections.length - 1] = `${last} ${sentence}`;
  }
  return sections;
}
