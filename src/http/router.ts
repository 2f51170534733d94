import { Hono } from "hono";
import type { IncomingMessage, ServerResponse } from "node:http";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { type Access, requireSameOrigin, requireScope, requireUnlimited } from "./access.ts";
import type { Call, Route, Service } from "./call.ts";
import type { Callers } from "./caller.ts";
import { parseQuery } from "./parameters.ts";
import { problemOf } from "./problem.ts";
import { routes } from "./routes.ts";

/** What a request came in with. */
export interface Bindings {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}
export interface Place extends Bindings {
  /** Path below the root of the API's host, mount points left out. */
  readonly path: string;
  /** What the caller has to put before the paths of routes. */
  readonly links: string;
  /** Hears who calls, once that is known. */
  readonly seen?: (access: Access) => void;
}

/** The routes below `base`, with all that holds for each of them. */
export function routerOf(
  base: string,
  service: Service,
  callers: Callers,
  surprised: (error: unknown) => void,
): Hono<{ Bindings: Place }> {
  const router = new Hono<{ Bindings: Place }>({
    getPath: (_request, options) => (options?.env as Place | undefined)?.path ?? "/",
  });
  router.onError((error) => problemOf(error, surprised));
  router.notFound(() => problemOf(new FactlogError("NOT_FOUND", "there is no such path here."), surprised));
  const methods = new Map<string, string[]>();
  for (const route of routes) {
    const path = base + route.path.replaceAll(/\{(\w+)\}/gu, ":$1");
    methods.set(path, [...(methods.get(path) ?? []), ...(route.method === "GET" ? ["GET", "HEAD"] : [route.method])]);
    router.on(route.method, path, ({ req, env }) => enter(service, callers, route, req.raw, env, req.param()));
  }
  for (const [path, allowed] of methods) {
    const allow = allowed.join(", ");
    router.all(path, ({ req }) => {
      const message = `${req.method} is not for this path: use ${allow}.`;
      return problemOf(new FactlogError("METHOD_NOT_ALLOWED", message, { details: { allow } }), surprised);
    });
  }
  return router;
}

/** The way into a route: who calls, whether they may, whether the parameters are right. */
async function enter(
  service: Service,
  callers: Callers,
  route: Route,
  request: Request,
  place: Place,
  path: Readonly<Record<string, string>>,
): Promise<Response> {
  const { incoming, outgoing, links } = place;
  requireFewHeaders(request);
  const access = route.scope === "signature" ? nobody : await accessOf(callers, route, request, place);
  if (route.wholeLog === true) requireUnlimited(access);
  const query = parseQuery(new URL(request.url).searchParams, route.parameters);
  const call: Call = {
    ...service,
    request,
    incoming,
    outgoing,
    access,
    links,
    path: (name) => path[name] ?? "",
    query: (name) => query.get(name)?.[0],
    queryAll: (name) => query.get(name) ?? [],
    stillAllowed: () => callers.still(request, access),
  };
  return route.handle(call);
}

/** Whoever signs what it sends has no other rights. */
const nobody: Access = Object.freeze({ scopes: Object.freeze([]) });

async function accessOf(callers: Callers, route: Route, request: Request, place: Place): Promise<Access> {
  requireSameOrigin(request, !callers.decidesAlone);
  const access = await callers.of(request, place.incoming);
  place.seen?.(access);
  if (!route.scope.startsWith("publish:")) requireScope(access, route.scope);
  return access;
}

function requireFewHeaders(request: Request): void {
  let headers = 0;
  for (const _ of request.headers) headers++;
  if (headers > limits.headersMax)
    throw new FactlogError("TOO_MANY_HEADERS", `a request may have ${limits.headersMax} headers.`);
}
