import type { IncomingMessage, ServerResponse } from "node:http";
import type { AppSpec } from "../app/app.ts";
import type { App, Log, Logger } from "../index.ts";
import type { Access } from "./access.ts";
import type { IncomingWebhook } from "./incoming.ts";
import type { SchemaName } from "./schemas.ts";
import type { Streams } from "./streams.ts";

/** What stays the same over all calls. */
export interface Service {
  readonly log: Log;
  readonly app: App;
  readonly spec: AppSpec;
  readonly logger: Logger;
  readonly streams: Streams;
  readonly webhooks: Readonly<Record<string, IncomingWebhook>>;
}

/** One request, checked: who calls, and what the route's parameters say. */
export interface Call extends Service {
  readonly request: Request;
  /** Absent where the host hands over a mere `Request`. */
  readonly incoming: IncomingMessage | undefined;
  readonly outgoing: ServerResponse | undefined;
  readonly access: Access;
  /** Asks again whether this caller still has these rights; false where it has none any more. */
  readonly stillAllowed: () => Promise<boolean>;
  /** A parameter of the path; the route has it. */
  readonly path: (name: string) => string;
  /** A parameter of the query. */
  readonly query: (name: string) => string | undefined;
  readonly queryAll: (name: string) => readonly string[];
  /** The API's own path as the caller knows it: what links begin with. */
  readonly links: string;
}

/** A parameter as the OpenAPI document shows it; the checks of a request are made from the same words. */
export interface Parameter {
  readonly name: string;
  readonly in: "query" | "path" | "header";
  readonly description: string;
  readonly schema:
    | { readonly type: "string"; readonly maxLength?: number; readonly format?: string }
    | { readonly type: "integer"; readonly minimum: number; readonly maximum: number; readonly default?: number }
    | { readonly type: "array"; readonly items: { readonly type: "string" } };
}

export interface Route {
  readonly method: "GET" | "POST";
  /** Below the base path, parameters in braces. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /**
   * What a caller must be allowed to do: one of `tokenScopes`. "publish:TYPE" is looked at once the types are known; "signature":
   * the request itself proves who sent it.
   */
  readonly scope: string;
  /** About the whole log: not for callers that see a part of it. */
  readonly wholeLog?: true;
  readonly parameters: readonly Parameter[];
  /** Names of schemas.ts; "stream": server-sent events. */
  readonly body?:
    | "NewEvent"
    | "Reason"
    | "Nothing"
    | "Answer"
    | "Withdraw"
    | "NewToken"
    | "Revoke"
    | "Any"
    | "PauseOf"
    | "NewRedrive";
  readonly answer: SchemaName | "stream" | "metrics";
  readonly handle: (call: Call) => Promise<Response>;
}

export function json(body: object | string, status = 200): Response {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers: { "content-type": "application/json" } });
}
