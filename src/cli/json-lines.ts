import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { plural } from "./format.ts";

export interface JsonDocument {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly text: string;
}

/** Longer cannot be the data of an event; the escapes of JSON make up to six bytes of one. */
const documentMax = 6 * limits.eventBytesMax;

/**
 * The JSON documents of a stream of UTF-8, in batches. One a line where the first line is one by itself; else the whole
 * stream is one. Blank lines between do not count. Throws INVALID_DATA, EVENT_TOO_LARGE.
 */
export async function* documents(
  input: AsyncIterable<Uint8Array | string>,
  batchMax: number,
): AsyncGenerator<readonly JsonDocument[]> {
  let batch: JsonDocument[] = [];
  let whole: { readonly line: number; text: string } | undefined;
  let perLine = false;
  let line = 0;
  for await (const text of linesOf(input)) {
    line++;
    if (whole !== undefined) {
      whole.text += `\n${text}`;
      requireShort(whole.text);
    } else if (text.trim() !== "") {
      if (batch.length === batchMax) {
        yield batch;
        batch = [];
      }
      if (!perLine && !isJson(text)) whole = { line, text };
      else batch.push({ line, text });
      perLine = true;
    }
  }
  if (whole !== undefined) yield [whole];
  else if (batch.length > 0) yield batch;
}

/**
 * Reads the documents of a batch and stores them, all or nothing. A refusal says in which line, and what of the `before`
 * events of earlier batches there is.
 */
export async function storeBatch<T, R>(
  batch: readonly JsonDocument[],
  before: number,
  read: (document: JsonDocument) => T,
  store: (values: readonly T[]) => Promise<R>,
): Promise<R> {
  let line: number | undefined;
  try {
    const values = batch.map((document) => {
      line = document.line;
      return read(document);
    });
    line = undefined;
    return await store(values);
  } catch (error) {
    if (!(error instanceof FactlogError)) throw error;
    const at = line ?? batch[Number(error.details["index"] ?? -1)]?.line;
    if (at === undefined) throw error;
    const message = error.message.replace(/^event \d+ of the batch: /u, "").replace(" Nothing was stored.", "");
    const kept =
      before === 0
        ? "Nothing was stored."
        : `The ${plural(before, "event")} of earlier batches stay stored; give all again once it is mended.`;
    throw new FactlogError(error.code, `line ${at}: ${message} ${kept}`, {
      cause: error,
      details: { ...error.details, line: at },
    });
  }
}

async function* linesOf(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of decoded(input)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    requireShort(rest);
  }
  if (rest !== "") yield rest;
}

/** What is no UTF-8 is refused: it would be stored as something else. */
async function* decoded(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of input) yield typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new FactlogError("INVALID_DATA", "stdin is no UTF-8: nothing of this batch was stored.", { cause });
  }
}

function requireShort(text: string): void {
  if (text.length <= documentMax) return;
  throw new FactlogError(
    "EVENT_TOO_LARGE",
    `a document of more than ${documentMax} characters: store large things elsewhere and publish where they are.`,
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
