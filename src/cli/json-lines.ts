import { createInterface } from "node:readline";

export interface JsonDocument {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly text: string;
}

/**
 * The JSON documents of a stream, in batches. One a line where the first line is one by itself; else the whole stream is
 * one. Blank lines between do not count.
 */
export async function* documents(
  input: NodeJS.ReadableStream,
  batchMax: number,
): AsyncGenerator<readonly JsonDocument[]> {
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  let batch: JsonDocument[] = [];
  let line = 0;
  let perLine = false;
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    const text = next.value;
    line++;
    if (text.trim() === "") continue;
    if (!perLine && !isJson(text))
      return yield [
        { line, text: [text, ...(await Array.fromAsync({ [Symbol.asyncIterator]: () => lines }))].join("\n") },
      ];
    perLine = true;
    batch.push({ line, text });
    if (batch.length < batchMax) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
