/** Who may import whom: STYLE's layout as data. A folder imports only folders above it, and never a sibling. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { filesMatching, importsOf } from "./support/source.ts";

interface Layer {
  /** A folder of src/, or a file there without its extension. */
  readonly name: string;
  /** Layers above this one that it may not import all the same. */
  readonly not?: readonly string[];
  /** If given, the only layers it may import. */
  readonly only?: readonly string[];
  /** Imports no package and nothing of Node: the same input gives the same answer. */
  readonly pure?: true;
}

const engines = ["engines/memory", "engines/sqlite", "engines/postgres", "engines/nats", "engines/kafka"];
const doors = ["testing", "conformance", "outbox", "otel", "http", "dashboard", "client"];

/** From the top down. Layers in one row are siblings: none of them imports another. */
const rows: readonly (readonly Layer[])[] = [
  [{ name: "errors" }, { name: "limits" }, { name: "uuid" }],
  [{ name: "env" }],
  [{ name: "duration" }, { name: "webhook" }],
  [{ name: "event" }],
  [{ name: "delivery", pure: true }],
  [{ name: "app", only: ["errors", "limits", "duration", "webhook", "event", "delivery"] }],
  [{ name: "engine", pure: true }],
  engines.map((name) => ({ name })),
  [{ name: "observe", not: engines }],
  [{ name: "runtime" }],
  [
    { name: "projection", not: engines },
    { name: "agent", not: engines },
  ],
  [{ name: "index" }],
  [
    { name: "testing", not: engines.filter((name) => name !== "engines/memory" && name !== "engines/sqlite") },
    { name: "conformance", not: engines.filter((name) => name !== "engines/memory") },
    { name: "outbox", not: engines.filter((name) => name !== "engines/postgres") },
    { name: "http", only: ["errors", "limits", "env", "webhook", "event", "app", "index"] },
    { name: "otel", not: engines },
    { name: "dashboard", only: ["index"] },
  ],
  [{ name: "client", only: ["errors", "event", "http", "index"] }],
  [{ name: "cli", not: doors.filter((name) => name !== "http" && name !== "dashboard") }],
];

/** Built-in modules and packages that belong to one place. */
const homes: Readonly<Record<string, string>> = {
  "node:sqlite": "engines/sqlite",
  pg: "engines/postgres",
  "drizzle-orm": "outbox",
  kysely: "outbox",
  ai: "agent",
  commander: "cli",
  hono: "http",
  "@hono/node-server": "http",
  "@opentelemetry/api": "otel",
  standardwebhooks: "webhook",
};

const layers = new Map(rows.flatMap((row, rank) => row.map((layer) => [layer.name, { ...layer, rank }] as const)));

/** `src/engines/sqlite/log.ts` -> `engines/sqlite`; `src/index.ts` -> `index`. */
function layerNameOf(path: string): string {
  const [first = "", second = "", ...rest] = path.replace(/^src\//, "").split("/");
  if (second === "") return first.replace(/\.ts$/, "");
  return first === "engines" && rest.length > 0 ? `${first}/${second}` : first;
}

/** What is wrong with `path` importing `specifier`, or undefined if nothing is. */
function objection(path: string, specifier: string): string | undefined {
  const from = layers.get(layerNameOf(path));
  if (from === undefined) return `${path}: not in any layer of this test`;
  if (!specifier.startsWith(".")) {
    const home = homes[specifier];
    if (specifier === "factlog" || specifier.startsWith("factlog/")) return `${path}: imports the package by its name`;
    if (home !== undefined && home !== from.name) return `${path}: ${specifier} belongs to ${home}`;
    return from.pure ? `${path}: ${from.name} is pure, it imports no ${specifier}` : undefined;
  }
  const target = posix.join(posix.dirname(path), specifier);
  const to = layers.get(layerNameOf(target));
  if (!target.startsWith("src/")) return `${path}: ${specifier} leaves src/`;
  if (!target.endsWith(".ts")) return `${path}: ${specifier} has no .ts`;
  if (to === undefined) return `${path}: ${target} is not in any layer of this test`;
  if (to.name === from.name) return undefined;
  const allowed =
    from.rank > to.rank && !from.not?.includes(to.name) && (from.only === undefined || from.only.includes(to.name));
  return allowed ? undefined : `${path}: ${from.name} may not import ${to.name} (${specifier})`;
}

test("a folder imports only folders above it", () => {
  const objections: string[] = [];
  for (const path of filesMatching("src/**/*.ts")) {
    if (!layers.has(layerNameOf(path))) objections.push(`${path}: not in any layer of this test`);
    for (const specifier of importsOf(readFileSync(path, "utf8"))) {
      const found = objection(path, specifier);
      if (found !== undefined) objections.push(found);
    }
  }
  assert.deepEqual(objections, []);
});

test("the rule refuses what it is there to refuse", () => {
  const bad: readonly (readonly [path: string, specifier: string])[] = [
    ["src/errors.ts", "./limits.ts"],
    ["src/event/codec.ts", "../delivery/decide.ts"],
    ["src/delivery/decide.ts", "node:crypto"],
    ["src/engine/ledger.ts", "../engines/memory/ledger.ts"],
    ["src/engines/sqlite/ledger.ts", "../memory/ledger.ts"],
    ["src/engines/sqlite/ledger.ts", "../../runtime/worker.ts"],
    ["src/runtime/worker.ts", "node:sqlite"],
    ["src/runtime/worker.ts", "../index.ts"],
    ["src/runtime/worker.ts", "./settle"],
    ["src/agent/durable.ts", "../projection/define.ts"],
    ["src/agent/durable.ts", "../engines/sqlite/ledger.ts"],
    ["src/conformance/index.ts", "../engines/sqlite/index.ts"],
    ["src/http/handler.ts", "../runtime/worker.ts"],
    ["src/testing/log.ts", "factlog"],
    ["src/cli/main.ts", "../../test/support/source.ts"],
    ["src/utils/misc.ts", "../errors.ts"],
    ["src/runtime/worker.ts", "../utils/misc.ts"],
  ];
  assert.deepEqual(
    bad.filter(([path, specifier]) => objection(path, specifier) === undefined),
    [],
  );
});

test("the rule allows the way down", () => {
  const good: readonly (readonly [path: string, specifier: string])[] = [
    ["src/event/codec.ts", "../errors.ts"],
    ["src/event/define.ts", "@standard-schema/spec"],
    ["src/delivery/decide.ts", "./retry-policy.ts"],
    ["src/engines/sqlite/ledger.ts", "../../engine/ledger.ts"],
    ["src/engines/sqlite/database.ts", "node:sqlite"],
    ["src/runtime/log.ts", "../engines/sqlite/index.ts"],
    ["src/conformance/index.ts", "../engines/memory/index.ts"],
    ["src/http/handler.ts", "../index.ts"],
    ["src/cli/main.ts", "../index.ts"],
  ];
  assert.deepEqual(
    good.flatMap(([path, specifier]) => objection(path, specifier) ?? []),
    [],
  );
});

test("imports are read from code, not from comments or strings", () => {
  const source = [
    'import { a } from "./a.ts";',
    'import type { B } from "./b.ts";',
    'export { c } from "./c.ts";',
    'const d = await import("./d.ts");',
    '/** import { e } from "./e.ts"; */',
    'const f = `import { f } from "./f.ts";`;',
  ].join("\n");
  assert.deepEqual(importsOf(source).toSorted(), ["./a.ts", "./b.ts", "./c.ts", "./d.ts"]);
});
