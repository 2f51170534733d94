const scalar = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/uy;
const space = /[ \t\r\n]*/uy;
const escape = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/uy;

/**
 * Where JSON text stops being JSON: the index of the first character that cannot stand there, or the text's length where it
 * ends too early. The messages of `JSON.parse` do not always say. Undefined where all is well.
 */
export function jsonFaultAt(text: string): number | undefined {
  /** What is open, outermost first: braces and brackets. */
  const open: string[] = [];
  let at = 0;
  /** What may come next: a value, a name, or what follows a value. */
  let next: "value" | "first value" | "name" | "first name" | "rest" = "value";
  for (;;) {
    at = match(space, text, at) ?? at;
    const character = text[at];
    if (next === "rest") {
      const inside = open.at(-1);
      if (inside === undefined) return character === undefined ? undefined : at;
      if (character === ",") next = inside === "{" ? "name" : "value";
      else if (character === (inside === "{" ? "}" : "]")) open.pop();
      else return at;
      at++;
    } else if (next.endsWith("name")) {
      if (next === "first name" && character === "}") {
        next = "rest";
        continue;
      }
      const end = character === '"' ? endOfString(text, at) : { fault: at };
      if (typeof end !== "number") return end.fault;
      at = match(space, text, end) ?? end;
      if (text[at] !== ":") return at;
      at++;
      next = "value";
    } else if (next === "first value" && character === "]") {
      next = "rest";
    } else if (character === "{" || character === "[") {
      open.push(character);
      at++;
      next = character === "{" ? "first name" : "first value";
    } else {
      const end = character === '"' ? endOfString(text, at) : (match(scalar, text, at) ?? { fault: at });
      if (typeof end !== "number") return end.fault;
      at = end;
      next = "rest";
    }
  }
}

/** Where the pattern ends that begins here. */
function match(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function endOfString(text: string, start: number): number | { readonly fault: number } {
  let at = start + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at + 1;
    if (Number.isNaN(code) || code < 0x20) return { fault: at };
    if (code !== 0x5c) at++;
    else {
      const end = match(escape, text, at);
      if (end === undefined) return { fault: at };
      at = end;
    }
  }
}
