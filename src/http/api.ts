import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import type { IncomingMessage, ServerResponse } from "node:http";
import { appSpecOf } from "../app/app.ts";
import { FactlogError } from "../errors.ts";
import type { App, Log, Logger } from "../index.ts";
import { shown } from "./body.ts";
import type { Service } from "./call.ts";
import { type Authorize, Callers } from "./caller.ts";
import { healthOf, isHealth } from "./health.ts";
import type { IncomingWebhook } from "./incoming.ts";
import { problemOf } from "./problem.ts";
import { type Bindings, type Place, routerOf } from "./router.ts";
import { requestLog } from "./request-log.ts";
import { type StreamBounds, streamBounds, Streams } from "./streams.ts";

export interface HttpOptions {
  /** Where the API begins. Default "/v1". */
  readonly basePath?: string;
  /**
   * Decides per request, and alone, what the caller may see and do; null: nobody we know. It must not read the body. Streams ask
   * it again every 25 s. Without it access tokens decide (`log.tokens`); see `tokens`.
   */
  readonly authorize?: Authorize;
  /**
   * Without `authorize`. "localhost" (default): while the log has no access token, calls from this machine may do everything, and no
   * others are answered. "required": nobody is answered without a token.
   */
  readonly tokens?: "localhost" | "required";
  /**
   * Names this server is called by, beside those of this machine, without ports: others are refused (DNS rebinding). Default: without
   * a token those of this machine alone, else any.
   */
  readonly hosts?: readonly string[];
  /** Senders of signed messages, each at `POST .../webhooks/NAME`. */
  readonly webhooks?: Readonly<Record<string, IncomingWebhook>>;
  /** One line for each request: method, path, status, milliseconds, caller; no query, header or body. Default false. */
  readonly logRequests?: boolean;
  /** Hears of what callers are not told. Default: the console. */
  readonly logger?: Logger;
}
export interface HttpApi extends AsyncDisposable {
  /** A fetch handler, for Hono, Next, Bun and the like. `env` may hold Node's `incoming` and `outgoing`, as Hono's does. */
  readonly fetch: (request: Request, env?: object) => Promise<Response>;
  /** The same for Node, Express and Fastify. Mount it before any body parser. */
  readonly node: (request: IncomingMessage, response: ServerResponse) => void;
  /** Ends all streams, and refuses new ones; everything else goes on being answered. */
  close(): Promise<void>;
}

/** Everything of a log over HTTP. See docs/guides/http.md. */
export function httpApi(log: Log, app: App, options: HttpOptions = {}): HttpApi {
  return httpApiWithin(undefined, log, app, options);
}

/** `httpApi` with bounds of its own. */
export function httpApiWithin(
  bounds: Partial<StreamBounds> | undefined,
  log: Log,
  app: App,
  options: HttpOptions,
): HttpApi {
  const { basePath = "/v1", authorize, tokens = "localhost", hosts, logger = console, webhooks = {} } = options;
  const base = basePathOf(basePath);
  const service: Service = {
    log,
    app,
    spec: appSpecOf(app),
    logger,
    streams: new Streams({ ...streamBounds, ...bounds }),
    webhooks,
  };
  const callers = new Callers(log, { authorize, tokens, hosts: hosts?.map((host) => host.toLowerCase()) });
  const router = routerOf(base, service, callers, tell(logger));
  const logged = options.logRequests === true ? requestLog(logger) : undefined;
  const fetch = async (request: Request, env: object = {}): Promise<Response> => {
    const entry = logged?.(request);
    const response = await answer(router, base, service, request, env, entry?.seen);
    for (const [name, value] of securityHeaders) response.headers.set(name, value);
    entry?.answered(response.status);
    return response;
  };
  const listener = getRequestListener(fetch, {
    overrideGlobalObjects: false,
    errorHandler: (error) => problemOf(badRequest(error), tell(logger)),
  });
  return {
    fetch,
    node: (request, response) => void listener(request, response),
    close: () => service.streams.close(),
    [Symbol.asyncDispose]: () => service.streams.close(),
  };
}

function basePathOf(basePath: string): string {
  if (/^(?:\/[\w.~-]+)+$/u.test(basePath)) return basePath;
  throw new FactlogError("INVALID_OPTION", `basePath ${shown(basePath)} is no path: give one as in "/v1".`);
}

const securityHeaders: readonly (readonly [string, string])[] = [
  ["cache-control", "no-store"],
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
  ["referrer-policy", "no-referrer"],
  ["x-content-type-options", "nosniff"],
];

const tell =
  (logger: Logger) =>
  (error: unknown): void =>
    logger.error("a request could not be answered", { error });

/** Requests that cannot even be made into one: a host or a target that is no URL. */
function badRequest(error: unknown): unknown {
  if (!(error instanceof Error && error.name === "RequestError")) return error;
  return new FactlogError("INVALID_OPTION", `this is no request: ${error.message}.`, { cause: error });
}

async function answer(
  router: Hono<{ Bindings: Place }>,
  base: string,
  service: Service,
  request: Request,
  env: object,
  seen: Place["seen"],
): Promise<Response> {
  try {
    const found = placeOf(base, request, env);
    const path = found.path === "/metrics" ? `${base}/metrics` : found.path;
    const place = { ...found, path, ...(seen === undefined ? {} : { seen }) };
    const health = await healthOf(place.path, request, service.log);
    return health ?? (await router.fetch(request, place));
  } catch (error) {
    return problemOf(error, tell(service.logger));
  }
}

/**
 * Where the request leads. Express takes the mount point off the path: where the whole path does not begin with ours, the
 * mount point stands for it.
 */
function placeOf(base: string, request: Request, env: object): Place {
  const { incoming, outgoing } = env as Bindings;
  const { baseUrl, originalUrl } = (incoming ?? {}) as { readonly baseUrl?: unknown; readonly originalUrl?: unknown };
  const bindings = { ...(incoming === undefined ? {} : { incoming }), ...(outgoing === undefined ? {} : { outgoing }) };
  // Names such as "a.0.1" pass for a host until they are parsed as one.
  if (!URL.canParse(request.url))
    throw new FactlogError("INVALID_OPTION", "this is no request: its host and path make no URL.");
  const { pathname } = new URL(request.url);
  if (typeof baseUrl !== "string" || baseUrl === "" || typeof originalUrl !== "string")
    return { ...bindings, path: pathname, links: base };
  const whole = originalUrl.split("?")[0] ?? "";
  if (whole === base || whole.startsWith(`${base}/`)) return { ...bindings, path: whole, links: base };
  return {
    ...bindings,
    path: isHealth(pathname) || pathname === "/metrics" ? pathname : `${base}${pathname}`,
    links: baseUrl,
  };
}
