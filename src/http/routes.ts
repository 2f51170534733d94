import { json, type Route } from "./call.ts";
import { openapiOf } from "./openapi.ts";
import { operateRoutes } from "./operate.ts";
import { incomingRoutes } from "./incoming.ts";
import { pausingRoutes } from "./pausing.ts";
import { publishRoutes } from "./publish.ts";
import { readRoutes } from "./read.ts";
import { redriveRoutes } from "./redrives.ts";
import { tokenRoutes } from "./tokens.ts";
import { waitingRoutes } from "./waiting.ts";

const document: Route = {
  method: "GET",
  path: "/openapi.json",
  operationId: "openapi",
  summary: "This document.",
  scope: "read:status",
  parameters: [],
  answer: "Document",
  handle: async ({ links }) => json(openapiOf(routes, links)),
};

/** Everything there is, below the base path. The OpenAPI document is made from the same table. */
export const routes: readonly Route[] = [
  ...publishRoutes,
  ...readRoutes,
  ...operateRoutes,
  ...pausingRoutes,
  ...redriveRoutes,
  ...waitingRoutes,
  ...tokenRoutes,
  ...incomingRoutes,
  document,
];
