import type { ClientRequest, IncomingMessage } from "node:http";
import { Webhook as Signer } from "standardwebhooks";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { addressIn, isPublic, notPublic, publicLookup } from "./address.ts";
import type { Webhook } from "./target.ts";

export interface Post {
  /** Stable over attempts: the receiver drops repeats by it. */
  readonly id: string;
  readonly body: string;
}

/**
 * One attempt: a signed POST, of which a 2xx answer of at most 64 KiB within 10 s is a success. Redirects are not followed,
 * the answer's content is not looked at. Resolves to the status; rejects on anything but 2xx.
 */
export async function post(env: Env, target: Webhook, { id, body }: Post, signal: AbortSignal): Promise<number> {
  const url = new URL(target.webhook);
  const address = addressIn(url.hostname);
  if (target.allowPrivate !== true && address !== undefined && !isPublic(address)) throw notPublic(url.hostname);
  const at = new Date(env.now());
  const over = new AbortController();
  const late = (): void => over.abort(failed(`no whole answer within ${limits.webhookTimeoutMs} ms`));
  const timer = env.after(limits.webhookTimeoutMs, late);
  const stop = (): void => over.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const answer = await send(url, target, over.signal, body, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "user-agent": "factlog",
      "webhook-id": id,
      "webhook-timestamp": Math.floor(at.getTime() / 1000),
      "webhook-signature": new Signer(target.secret).sign(id, at, body),
    });
    await readOut(answer);
    const status = answer.statusCode ?? 0;
    if (status < 200 || status > 299) throw failed(`it answered ${status}`, status);
    return status;
  } catch (error) {
    throw over.signal.aborted ? over.signal.reason : error;
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", stop);
  }
}

function send(
  url: URL,
  { allowPrivate }: Webhook,
  signal: AbortSignal,
  body: string,
  headers: Readonly<Record<string, string | number>>,
): Promise<IncomingMessage> {
  const answered = Promise.withResolvers<IncomingMessage>();
  // Not imported: a fifth of the start of every process would go there, and few send anything.
  const client = process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http");
  const request: ClientRequest = client.request(url, {
    method: "POST",
    headers,
    signal,
    // No connection is kept: the next look-up is checked anew.
    agent: false,
    maxHeaderSize: limits.attributesBytesMax,
    ...(allowPrivate === true ? {} : { lookup: publicLookup }),
  });
  request.on("response", answered.resolve).on("error", answered.reject).end(body);
  return answered.promise;
}

/** An answer that does not end soon is none: nobody is to fill this process's memory. */
async function readOut(answer: IncomingMessage): Promise<void> {
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.webhookAnswerBytesMax)
      throw failed(`its answer is longer than ${limits.webhookAnswerBytesMax} bytes`);
  }
}

const failed = (why: string, status?: number): FactlogError =>
  new FactlogError("WEBHOOK_FAILED", `the webhook was not taken: ${why}.`, { retryable: true, details: { status } });
