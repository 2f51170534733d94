/**
 * Runs the tests: `npm test`, `npm test -- test/event/*.test.ts`, `npm test -- --name "same order"`.
 *
 * Node's own runner does the work. This adds what its exit code does not say: that every file ran at least one test
 * (a file may end green without any), that a whole run did not lose tests on the way, and that a file which never
 * ends fails the run instead of holding it up for ever.
 */
import { globSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";
import { packagedRelease, releases } from "../test/support/postgres/binaries.ts";
import { Keeper, keeperVariable } from "../test/support/postgres/keeper.ts";

/** Fewer passing tests than this in a whole run is a failure. Raise it as tests are added. */
const passedMin = 15;
const testTimeoutMs = 120_000;
/** No test starts or ends for this long: some file does not end. Longer than any one test may take. */
const silenceMaxMs = 300_000;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: "string" } } });
const chosen = positionals.length > 0 || values.name !== undefined;
/** "newest" (default), "all" or "none": on which releases of PostgreSQL that are here; see test/support/postgres.ts. */
const postgres = (process.env["FACTLOG_POSTGRES"] ??= "newest");
const hasServer = postgres !== "none" && releases.length > 0;
const needsServer = /[/\\](?:engines[/\\]postgres[/\\]|cli[/\\]postgres\.)/;
/** "whole": the longest suites too. "chosen": what was named, on all engines. "plain" (all files): runtime tests spare the server. */
const suites = (process.env["FACTLOG_SUITES"] ??= chosen ? "chosen" : "plain");
const files = globSync(positionals.length > 0 ? positionals : ["test/**/*.test.ts"])
  .filter((file) => hasServer || !needsServer.test(file))
  .map((file) => resolve(file))
  .toSorted();

const watchdog = new AbortController();
const silence = setTimeout(() => {
  console.error(
    `\nNo test started or ended for ${silenceMaxMs / 1000} s. Files not finished: ${[...unfinished].join(", ")}`,
  );
  watchdog.abort();
}, silenceMaxMs);
const unfinished = new Set(files);
let passed = 0;
let failed = false;
/** The engines on which the conformance suite has run: its suites bear their names. */
const enginesFile = resolve("test/conformance/engines.test.ts");
const engines: string[] = [];
const leftOut = hasServer ? [] : [packagedRelease];

/** Spares much of the time of a start: the tests and what they start are some thousand processes that load the same modules. */
process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "factlog-compile-cache");
process.env[keeperVariable] = await new Keeper().listen();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

const events = run({
  files,
  concurrency: 4,
  timeout: testTimeoutMs,
  execArgv: ["--conditions=@factlog/source"],
  signal: watchdog.signal,
  ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
});
for (const type of ["test:start", "test:pass", "test:fail", "test:dequeue", "test:complete"]) {
  events.on(type, () => silence.refresh());
}
events.on("test:pass", ({ file, name, nesting, details }) => {
  if (file === enginesFile && nesting === 0 && details.type === "suite") engines.push(name);
});
events.on("test:fail", () => {
  failed = true;
});
events.on("test:summary", ({ file, counts, success }) => {
  if (file !== undefined) unfinished.delete(file);
  else passed = counts.passed;
  if (!success) failed = true;
  if (file === enginesFile) tellEngines();
});
events.on("end", () => clearTimeout(silence));

/** As soon as it is known: the runner's closing lines stay the last thing shown. */
function tellEngines(): void {
  const missing = leftOut.join(", ") || "none";
  const later = suites === "whole" ? "" : "; a foreign log beside PostgreSQL: with FACTLOG_SUITES=whole";
  console.log(`conformance suite: on ${engines.length} engines (${engines.join(", ")}); left out: ${missing}${later}`);
}

/** Runs after the report has been written, so that its closing lines stay the last thing shown when all is well. */
process.on("exit", () => {
  const complaints: string[] = [];
  if (files.length === 0) complaints.push("no test file matches");
  if (!chosen && passed < passedMin) complaints.push(`${passed} tests passed, at least ${passedMin} were expected`);
  if (!chosen) for (const file of unfinished) complaints.push(`${file} ended without having run a test`);
  if (postgres !== "none")
    for (const name of leftOut) complaints.push(`nothing was run on ${name}: npm ci did not bring it`);
  for (const complaint of complaints) console.error(`✖ ${complaint}`);
  if (failed || complaints.length > 0) process.exitCode = 1;
});

events.compose(new spec()).pipe(process.stdout);
