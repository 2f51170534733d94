import type { IncomingMessage } from "node:http";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";

/** A media type without its parameters; charset other than UTF-8 is refused. "" where there is none. */
export function mediaTypeOf(contentType: string | null): string {
  const [type = "", ...parameters] = (contentType ?? "").split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.find((each) => each.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !/^"?utf-?8"?$/u.test(charset)) throw unsupported(`charset ${shown(charset)}`, "UTF-8");
  return type;
}

export const isJsonType = (type: string): boolean =>
  type === "application/json" || /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.-]+\+json$/u.test(type);

export function unsupported(what: string, wanted: string): FactlogError {
  return new FactlogError("UNSUPPORTED_MEDIA_TYPE", `${what} is not taken here: send ${wanted}. Nothing was stored.`);
}
export const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);

/** The body as text. Nothing beyond the bound is read. Throws BODY_TOO_LARGE, INVALID_DATA, BODY_CONSUMED. */
export async function textOf(request: Request, incoming: IncomingMessage | undefined): Promise<string> {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity")
    throw unsupported(`content-encoding ${shown(encoding)}`, "it uncompressed");
  // Asking a request of Node's for its body makes a stream of it, and of it a whole `Request`: the bytes themselves are nearer.
  if (incoming === undefined || incoming.readableDidRead) requireUnread(request, incoming);
  if (Number(request.headers.get("content-length") ?? 0) > limits.bodyBytesMax) throw tooLarge();
  const bytes = await (incoming === undefined ? bytesOf(request) : bytesIn(incoming));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FactlogError("INVALID_DATA", "the body is no UTF-8. Nothing was stored.", { cause });
  }
}

/** A body parser in front of us has taken the bytes that are to be stored as given. */
function requireUnread(request: Request, incoming: IncomingMessage | undefined): void {
  if (!request.bodyUsed && incoming?.readableDidRead !== true) return;
  throw new FactlogError(
    "BODY_CONSUMED",
    "the body was read before it came here: mount factlog/http before body parsers such as express.json().",
  );
}

function bytesIn(incoming: IncomingMessage): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const take = (chunk: Uint8Array): void => {
    bytes += chunk.byteLength;
    if (bytes > limits.bodyBytesMax) {
      stop();
      incoming.pause();
      reject(tooLarge());
    } else chunks.push(chunk);
  };
  const end = (): void => {
    stop();
    resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
  };
  const fail = (cause?: unknown): void => {
    stop();
    reject(cutShort(cause));
  };
  const stop = (): void => void incoming.off("data", take).off("end", end).off("error", fail).off("close", fail);
  incoming.on("data", take).once("end", end).once("error", fail).once("close", fail);
  return promise;
}

async function bytesOf(request: Request): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(chunks);
      bytes += value.byteLength;
      if (bytes > limits.bodyBytesMax) throw tooLarge();
      chunks.push(value);
    }
  } catch (cause) {
    if (cause instanceof FactlogError) throw cause;
    throw cutShort(cause);
  } finally {
    reader.releaseLock();
  }
}

const cutShort = (cause: unknown): FactlogError =>
  new FactlogError("INVALID_DATA", "the body ended before it was complete. Nothing was stored.", { cause });

const tooLarge = (): FactlogError =>
  new FactlogError(
    "BODY_TOO_LARGE",
    `a body may have ${limits.bodyBytesMax} bytes: send smaller batches, and store large things elsewhere. Nothing was stored.`,
    { details: { limit: limits.bodyBytesMax } },
  );
