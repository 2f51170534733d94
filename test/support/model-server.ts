/** A model provider over real HTTP: chat completions as OpenAI's, plain and streaming, from a script of the test's own. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

export interface Message {
  readonly role: string;
  readonly content: string | null;
  readonly tool_calls?: readonly { readonly function: { readonly name: string } }[];
}
export interface Answer {
  readonly text?: string;
  /** Arguments as an object, or as whatever text the model makes of it. */
  readonly tools?: readonly { readonly name: string; readonly input: object | string }[];
  /** Null: the server does not tell. */
  readonly tokens?: readonly [input: number, output: number] | null;
  /** In place of an answer. */
  readonly status?: number;
  /** The body, whatever it is, under status 200. */
  readonly body?: string;
  /** It comes when this does; never: the server hangs. */
  readonly when?: Promise<void>;
  /** Streams only: the rest comes when this does. */
  readonly rest?: Promise<void>;
  /** Streams only: the connection ends in the middle of the text. */
  readonly cut?: true;
}
/** How one call came, and how it went. */
export interface Call {
  readonly headers: IncomingHttpHeaders;
  /** "answered": all of the answer was handed over. "gone": whoever asked had left before. */
  readonly ended: Promise<"answered" | "gone">;
}
/** `nth`: how often exactly this was asked, from 1. */
export type Script = (messages: readonly Message[], nth: number, call: Call) => Answer;

export class ModelServer implements AsyncDisposable {
  readonly url: string;
  /** How often each content was asked for, by the server's own count. */
  readonly asked: Map<string, number> = new Map();
  /** Messages of each call, as they came. */
  readonly calls: (readonly Message[])[] = [];
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  }
  static async start(script: Script): Promise<ModelServer> {
    const server = createServer((request, response) => void model.#serve(request, response, script));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const model = new ModelServer(server);
    return model;
  }
  /** The way users reach such a server. */
  model(id = "test-model") {
    return createOpenAICompatible({ name: "test", baseURL: this.url, includeUsage: true })(id);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse, script: Script): Promise<void> {
    const { messages, stream = false } = (await json(request)) as { messages: Message[]; stream?: boolean };
    const content = JSON.stringify(messages);
    const nth = (this.asked.get(content) ?? 0) + 1;
    this.asked.set(content, nth);
    this.calls.push(messages);
    const ended = new Promise<"answered" | "gone">((resolve) => {
      response.once("finish", () => resolve("answered"));
      response.once("close", () => resolve("gone"));
    });
    const answer = script(messages, nth, { headers: request.headers, ended });
    await answer.when;
    if (answer.status !== undefined) {
      response.writeHead(answer.status, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { message: `status ${answer.status}`, type: "test", code: null } }));
    } else if (answer.body !== undefined) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(answer.body);
    } else if (stream) await streamed(response, answer, this.calls.length);
    else {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(whole(answer, this.calls.length)));
    }
  }
}

function toolCalls({ tools = [] }: Answer, n: number): object[] {
  return tools.map(({ name, input }, index) => ({
    index,
    id: `call-${n}-${index}`,
    type: "function",
    function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
  }));
}
const finishOf = ({ tools }: Answer): string => (tools === undefined ? "stop" : "tool_calls");
function usageOf({ tokens = [10, 5] }: Answer): object {
  if (tokens === null) return {};
  const [input, output] = tokens;
  return { usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output } };
}
const head = (n: number): object => ({ id: `answer-${n}`, created: 1_700_000_000 + n, model: "test-model" });

function whole(answer: Answer, n: number): object {
  const calls = toolCalls(answer, n);
  const message = {
    role: "assistant",
    content: answer.text ?? null,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  return {
    ...head(n),
    object: "chat.completion",
    choices: [{ index: 0, message, finish_reason: finishOf(answer) }],
    ...usageOf(answer),
  };
}

async function streamed(response: ServerResponse, answer: Answer, n: number): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (delta: object, finish: string | null = null, more: object = {}): void => {
    const chunk = { ...head(n), object: "chat.completion.chunk", ...more };
    response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
  };
  const words = (answer.text ?? "").split(/(?<= )/);
  for (const [i, word] of words.entries()) {
    if (i > 0 && i === Math.ceil(words.length / 2)) {
      await answer.rest;
      if (answer.cut) return void response.destroy();
    }
    send({ role: "assistant", content: word });
  }
  for (const call of toolCalls(answer, n)) send({ tool_calls: [call] });
  send({}, finishOf(answer), usageOf(answer));
  response.end("data: [DONE]\n\n");
}
