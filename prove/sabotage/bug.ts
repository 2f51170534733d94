import type { LayerName } from "./layers.ts";

/** Exact text of one file and what stands there instead. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}
/** A bug, as a patch on the product's sources. */
export interface Bug {
  readonly name: string;
  /** What is wrong with the patched product. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Who must catch it. */
  readonly layer: LayerName;
  /** One of the few that run in CI. */
  readonly quick?: true;
}

/**
 * The patched files. Throws where a text is not there exactly once: a refactoring has moved it, and the bug must be
 * planted where the code is now.
 */
export function patched({ name, edits }: Bug, read: (file: string) => string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [file, ofFile] of Map.groupBy(edits, (edit) => edit.file)) {
    const source = read(file);
    const places = ofFile.map(({ find, replace }) => ({ at: placeOf(find, source, file, name), find, replace }));
    let text = source;
    // From the end, so that a place stays where it was found.
    for (const { at, find, replace } of places.toSorted((a, b) => b.at - a.at)) {
      text = text.slice(0, at) + replace + text.slice(at + find.length);
    }
    files.set(file, text);
  }
  return files;
}

function placeOf(find: string, source: string, file: string, name: string): number {
  const times = source.split(find).length - 1;
  if (times !== 1) throw new Error(`patch does not apply: ${name}: ${file} has ${times} times ${JSON.stringify(find)}`);
  return source.indexOf(find);
}
