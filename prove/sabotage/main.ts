/**
 * Sabotage drill: bugs are planted one after the other on a copy of the sources, and for each a layer of the proofs must
 * complain. On the unchanged copy all these layers must be content.
 * `npm run sabotage -- [--only NAME] [--quick] [--layers all] [--write] [--json]`
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { conclude } from "../options.ts";
import { inDirectory } from "../scratch.ts";
import { bugs } from "./bugs.ts";
import type { Bug } from "./bug.ts";
import { caughtByOneMax, type LayerName, layerNames, layers } from "./layers.ts";
import { type Matrix, writePage } from "./page.ts";
import { runLayer } from "./run-layer.ts";
import { Tree } from "./tree.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    quick: { type: "boolean", default: false },
    layers: { type: "string", default: "named" },
    write: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const chosen = bugs.filter(({ name, quick }) => values.only?.includes(name) ?? (!values.quick || quick === true));
if (chosen.length < (values.only?.length ?? 1) || (values.layers !== "named" && values.layers !== "all")) {
  console.error(`--only takes ${bugs.map(({ name }) => name).join(", ")}; --layers takes all`);
  process.exit(2);
}
const everyLayer = values.layers === "all";
if (values.write && chosen.length < bugs.length) {
  console.error("--write publishes the whole table: run it without --only and --quick");
  process.exit(2);
}

const startedMs = performance.now();
const used = layerNames.filter((name) => everyLayer || chosen.some(({ layer }) => layer === name));
const caught: { readonly name: string; readonly layer: LayerName; readonly seconds: number; readonly said: string }[] =
  [];
const matrix: Matrix = new Map(chosen.map(({ name }) => [name, new Map()]));
const clean = new Map<LayerName, { readonly green: boolean; readonly seconds: number }>();
const wrong: string[] = [];

await inDirectory(async (path) => {
  const temporary = path("tmp");
  mkdirSync(temporary);
  const tree = new Tree(path("tree"));
  for (const name of used) {
    const { complaint, green, ending, seconds } = await runLayer(tree.path, temporary, layers[name]);
    clean.set(name, { green, seconds });
    if (!green) wrong.push(`${name} is not content with the sources as they are: ${complaint ?? ending}`);
    tell(`${green ? "content" : "NOT CONTENT"}  ${name}, ${seconds} s`);
  }
  for (const bug of chosen) await tree.with(bug, () => drill(bug, tree.path, temporary));
});

async function drill(bug: Bug, root: string, temporary: string): Promise<void> {
  const { name, layer } = bug;
  const faults = compilerOn(root);
  if (faults !== "") return void wrong.push(`${name} does not compile: ${faults}`);
  for (const each of everyLayer ? layerNames : [layer]) {
    const { complaint, ending, seconds } = await runLayer(root, temporary, layers[each]);
    const said = complaint?.replace(/\s+/g, " ").slice(0, 200);
    matrix.get(name)?.set(each, said);
    tell(`${said === undefined ? "MISSED" : "caught"}  ${name}, by ${each} in ${seconds} s: ${said ?? ending}`);
    if (each !== layer) continue;
    if (said === undefined) wrong.push(`${name} was not caught by ${each}: ${ending}`);
    else caught.push({ name, layer, seconds, said });
  }
}

/** What the compiler says of a patched tree: a bug is code that could have been written. */
function compilerOn(root: string): string {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  // A patch may well leave something unused behind.
  const flags = ["--noEmit", "--noUnusedLocals", "false", "--noUnusedParameters", "false", "-p", "tsconfig.build.json"];
  const { stdout, status } = spawnSync(process.execPath, [tsc, ...flags], { cwd: root, encoding: "utf8" });
  return status === 0 ? "" : stdout.trim();
}

function tell(line: string): void {
  if (!values.json) console.log(line);
}

const perLayer = Object.fromEntries(
  used.map((name) => {
    const count = caught.filter(({ layer }) => layer === name).length;
    if (count > caughtByOneMax)
      wrong.push(`${name} catches ${count}: no layer is to catch more than ${caughtByOneMax}`);
    return [name, { caught: count, clean: clean.get(name)?.green === true, cleanSeconds: clean.get(name)?.seconds }];
  }),
);
for (const what of wrong) console.log(what);
if (values.write && wrong.length === 0) writePage(chosen, matrix, everyLayer);
conclude(
  {
    ok: wrong.length === 0 && caught.length === chosen.length,
    planted: chosen.length,
    caught: caught.length,
    clean: [...clean.values()].every(({ green }) => green),
    layers: perLayer,
    bugs: caught,
    seconds: Math.round((performance.now() - startedMs) / 100) / 10,
  },
  values.json,
);
