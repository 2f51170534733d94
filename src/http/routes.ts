import type { Route } from "./call.ts";
import { operateRoutes } from "./operate.ts";
import { publishRoutes } from "./publish.ts";
import { readRoutes } from "./read.ts";

/** Everything there is, below the base path. The OpenAPI document is made from the same table. */
export const routes: readonly Route[] = [...publishRoutes, ...readRoutes, ...operateRoutes];
