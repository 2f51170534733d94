/**
 * Runs test files and says, a JSON line each, which tests failed and of what: `tests-process.ts FILE... [--name PATTERN]`.
 * A suite that failed because of a test in it is not told, nor is a file whose process ended badly.
 */
import { globSync } from "node:fs";
import { run } from "node:test";
import { parseArgs } from "node:util";
import { say } from "../say.ts";

const testTimeoutMs = 60_000;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: "string" } } });
let passed = 0;
const events = run({
  files: globSync(positionals).toSorted(),
  concurrency: 2,
  timeout: testTimeoutMs,
  execArgv: ["--conditions=@factlog/source"],
  ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
});
events.on("test:pass", ({ details }) => {
  if (details.type !== "suite") passed++;
});
events.on("test:fail", ({ name, details }) => {
  process.exitCode = 1;
  const { failureType, cause } = details.error as Error & { readonly failureType?: string };
  if (failureType !== "testCodeFailure") return;
  const { name: error, message } = innermost(cause);
  say({ failed: name, error, message });
});
events.on("end", () => {
  say({ passed });
  if (passed === 0) process.exitCode = 1;
});
events.resume();

/** What a property failed of is the cause of what it threw. */
function innermost(error: unknown): { readonly name: string; readonly message: string } {
  if (!(error instanceof Error)) return { name: "", message: String(error) };
  return error.name === "Error" && error.cause instanceof Error ? innermost(error.cause) : error;
}
