/** Places of values in JSON text, so that they can be kept as they were written. All text here has passed `JSON.parse`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}
export interface Member extends Span {
  readonly name: string;
}

/** The members of an object, in order, repeated names included; undefined where the value is no object. */
export function membersOf(text: string, within: Span = { start: 0, end: text.length }): Member[] | undefined {
  let at = skipSpace(text, within.start);
  if (text[at] !== "{") return undefined;
  const members: Member[] = [];
  at = skipSpace(text, at + 1);
  while (text[at] === '"') {
    const nameEnd = skipString(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, start);
    members.push({ name, start, end });
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return members;
}

/** The elements of an array; undefined where the value is none. */
export function elementsOf(text: string): Span[] | undefined {
  let at = skipSpace(text, 0);
  if (text[at] !== "[") return undefined;
  const elements: Span[] = [];
  at = skipSpace(text, at + 1);
  while (text[at] !== "]") {
    const end = skipValue(text, at);
    elements.push({ start: at, end });
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return elements;
}

function skipSpace(text: string, at: number): number {
  while (text[at] === " " || text[at] === "\n" || text[at] === "\r" || text[at] === "\t") at++;
  return at;
}

/** Behind the string that begins here. */
function skipString(text: string, at: number): number {
  for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
  return at + 1;
}

/** Behind the value that begins here. Counts levels and does not descend: depth costs no stack. */
function skipValue(text: string, at: number): number {
  if (text[at] === '"') return skipString(text, at);
  let depth = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === '"') {
      at = skipString(text, at);
      continue;
    }
    if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (character === "," || /\s/u.test(character ?? ""))) return at;
    at++;
  }
  return at;
}
