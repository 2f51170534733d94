import type { Bug } from "../bug.ts";

const sqlite = "src/engines/sqlite";

/** What happens when processes end, die, and others take over. */
export const lifeBugs: readonly Bug[] = [
  {
    name: "ranges lost at hand-over",
    what: "a slot that is given back forgets what was closed above `low`",
    layer: "simulation",
    edits: [
      {
        file: `${sqlite}/lease.ts`,
        find: `"session = NULL, token = token + 1, claim = low"`,
        replace: `"session = NULL, token = token + 1, claim = low, ranges = ''"`,
      },
    ],
  },
  {
    name: "suspects not marked after a crash",
    what: "what a dead session may have been running runs like anything else",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/lease.ts`,
        find: "suspect = max(suspect, claim)",
        replace: "suspect = suspect",
      },
    ],
  },
  {
    name: "crash not charged",
    what: "a row whose process died is due again as if nothing had happened",
    layer: "simulation",
    edits: [
      { file: `${sqlite}/lease.ts`, find: "const crashes = row.crashes + 1;", replace: "const crashes = row.crashes;" },
    ],
  },
  {
    name: "shutdown charges an attempt",
    what: "what a shutdown cuts off counts as failed",
    layer: "runtime tests",
    edits: [
      {
        file: "src/runtime/runner.ts",
        find: `      attempt.told = true;
      attempt.context?.end("SHUTDOWN");`,
        replace: `      attempt.context?.end("SHUTDOWN");
      this.#tell(attempt, timeout(this.spec), undefined);`,
      },
    ],
  },
];
