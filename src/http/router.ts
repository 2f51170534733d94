import { Hono } from "hono";
import type { IncomingMessage, ServerResponse } from "node:http";
import { FactlogError } from "../errors.ts";
import type { Awaitable } from "../index.ts";
import { limits } from "../limits.ts";
import { type Access, localAccess, requireLocal, requireSameOrigin, requireScope, requireUnlimited } from "./access.ts";
import type { Call, Route, Service } from "./call.ts";
import { parseQuery } from "./parameters.ts";
import { problemOf } from "./problem.ts";
import { routes } from "./routes.ts";

export type Authorize = (request: Request) => Awaitable<Access | null>;

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
}

/** The routes below `base`, with all that holds for each of them. */
export function routerOf(
  base: string,
  service: Service,
  authorize: Authorize | undefined,
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
    router.on(route.method, path, ({ req, env }) => enter(service, authorize, route, req.raw, env, req.param()));
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
  authorize: Authorize | undefined,
  route: Route,
  request: Request,
  place: Place,
  path: Readonly<Record<string, string>>,
): Promise<Response> {
  const { incoming, outgoing, links } = place;
  requireFewHeaders(request);
  requireSameOrigin(request, authorize === undefined);
  const access = await accessOf(request, incoming, authorize);
  if (!route.scope.startsWith("publish:")) requireScope(access, route.scope);
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
    stillAllowed: async () => sameAccess(access, await authorize?.(request)),
  };
  return route.handle(call);
}

/** Throws UNAUTHENTICATED; without `authorize` MISDIRECTED and FORBIDDEN. */
async function accessOf(
  request: Request,
  incoming: IncomingMessage | undefined,
  authorize: Authorize | undefined,
): Promise<Access> {
  if (authorize === undefined) {
    requireLocal(request, incoming);
    return localAccess;
  }
  const access = await authorize(request);
  if (access !== null) return access;
  throw new FactlogError("UNAUTHENTICATED", "say who you are: this caller is not known.");
}

/** Nothing to ask, or the same answer as when the stream began. */
function sameAccess(before: Access, now: Access | null | undefined): boolean {
  if (now === undefined) return true;
  return now !== null && JSON.stringify(now) === JSON.stringify(before);
}

function requireFewHeaders(request: Request): void {
  let headers = 0;
  for (const _ of request.headers) headers++;
  if (headers > limits.headersMax)
    throw new FactlogError("TOO_MANY_HEADERS", `a request may have ${limits.headersMax} headers.`);
}
