/** The OpenAPI document is the routes, and its page in the repository is the document. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { documentPath } from "../../scripts/openapi.ts";
import { serve } from "./support.ts";

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

test("what is served is what stands in docs/reference/openapi.json", async (t) => {
  const { get } = await serve(t);
  const served = (await (await get("/v1/openapi.json")).json()) as Document;
  const page = JSON.parse(readFileSync(documentPath, "utf8")) as Document;
  assert.deepEqual(served, page, "run: node scripts/openapi.ts");
  assert.equal(served.openapi, "3.1.0");
  assert.ok(Object.keys(served.paths).length >= 10);
});

test("the document holds together: references lead somewhere, names are one each, paths have their parameters", () => {
  const page = JSON.parse(readFileSync(documentPath, "utf8")) as Document;
  const at = (reference: string): unknown =>
    reference
      .split("/")
      .slice(1)
      .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], page);
  const references = [...JSON.stringify(page).matchAll(/"\$ref":"([^"]+)"/gu)].map(([, reference = ""]) => reference);
  assert.ok(references.length > 10);
  assert.deepEqual(
    references.filter((reference) => at(reference) === undefined),
    [],
  );
  const operations = Object.entries(page.paths).flatMap(([path, methods]) =>
    Object.values(methods).map((each) => ({ path, ...each })),
  );
  assert.equal(new Set(operations.map((each) => each.operationId)).size, operations.length);
  for (const { path, parameters } of operations)
    assert.deepEqual(
      parameters.filter((each) => each.in === "path").map((each) => each.name),
      [...path.matchAll(/\{(\w+)\}/gu)].map(([, name]) => name),
    );
});
