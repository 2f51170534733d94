/** Writes docs/reference/openapi.json from the table of routes; a test holds the two together. */
import { writeFileSync } from "node:fs";
import { openapiOf } from "../src/http/openapi.ts";
import { routes } from "../src/http/routes.ts";
import { run } from "./run.ts";

export const documentPath = "docs/reference/openapi.json";

if (import.meta.main) {
  writeFileSync(documentPath, `${JSON.stringify(openapiOf(routes, "/v1"), null, 2)}\n`);
  run("oxfmt", [documentPath]);
}
