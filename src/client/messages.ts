/** One server-sent event. */
export interface Message {
  readonly event: string;
  readonly data: string;
  /** The last id that was sent up to here. */
  readonly id: string | undefined;
}

/** Longer than any frame can be. */
const messageMax = 8 * 1024 * 1024;

/** The messages of an event stream until it ends, as the HTML standard reads them. What is cut off in the middle is dropped. */
export async function* messagesIn(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  let fields = new Fields();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split(/\r\n|\r(?!$)|\n/u);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const message = fields.take(line);
        if (message !== undefined) {
          yield message;
          fields = new Fields(message.id);
        }
      }
      if (rest.length + fields.length > messageMax) throw new Error("an event stream without an end of its message");
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

class Fields {
  #event = "message";
  #data: string[] = [];
  #id: string | undefined;
  length = 0;
  constructor(id?: string) {
    this.#id = id;
  }
  /** The message that this line completes. */
  take(line: string): Message | undefined {
    if (line === "") {
      if (this.#data.length > 0) return { event: this.#event, data: this.#data.join("\n"), id: this.#id };
      this.#event = "message";
      return undefined;
    }
    this.length += line.length;
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /u, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    return undefined;
  }
}
