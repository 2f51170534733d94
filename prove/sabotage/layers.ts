/** One of the proofs, as a command that ends red when it sees a promise broken, and says which. */
export interface Layer {
  readonly what: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What a line of its output complains of; undefined: the line tells something else. */
  complaint(line: string): string | undefined;
}

/** Chance is fixed: what a layer catches it catches each time. */
const seed = "1";

const violation = /^(?:seed=\d+ )?((?:I\d+|fail-stop) [\w-]+: .*)/;
/** A violated assertion of the product stops its store, which is how it should be; any other stop tells nothing. */
function violationIn(line: string): string | undefined {
  const found = violation.exec(line)?.[1];
  return found?.startsWith("fail-stop") === true && !found.startsWith("fail-stop ASSERTION") ? undefined : found;
}

interface FailedTest {
  readonly failed: string;
  readonly error: string;
  readonly message: string;
}
/** Errors that say that something is not as it should be. Others may come from a patch that does not work at all. */
const saysSo = (error: string, message: string): boolean =>
  error === "AssertionError" || error === "FactlogError" || /^not within \d+ ms/.test(message);

/** Of a line of tests-process.ts. */
function failureIn(line: string): string | undefined {
  if (!line.startsWith('{"failed":')) return undefined;
  const { failed, error, message } = JSON.parse(line) as FailedTest;
  return saysSo(error, message) ? failed : undefined;
}

const tests = (what: string, files: string): Layer => ({
  what,
  command: `prove/sabotage/tests-process.ts ${files}`.split(" "),
  env: { FACTLOG_SEED: seed },
  complaint: failureIn,
});
const script = (what: string, command: string, complaint: Layer["complaint"] = violationIn): Layer => ({
  what,
  command: command.split(" "),
  complaint,
});

const ofSqlite = "test/engines/sqlite";
export const layers = {
  conformance: tests("the suite of the two ports, on every engine", "test/conformance/engines.test.ts"),
  "random walk": tests(
    "random walks of three processes over one ledger, beside the memory engine",
    "test/conformance/random-walk.test.ts --name sqlite",
  ),
  "engine tests": tests(
    "pages, queue, processes and bell of the SQLite engine",
    `${ofSqlite}/read.test.ts ${ofSqlite}/write-queue.test.ts ${ofSqlite}/processes.test.ts`,
  ),
  "runtime tests": tests("workers on memory and on SQLite, in one process and in several", "test/runtime/*.test.ts"),
  "durability under strace": tests(
    "the system calls of a process that publishes and settles, and disks that fail under it",
    `${ofSqlite}/durability.test.ts`,
  ),
  simulation: script("80 seeds of the simulation on SQLite", "sim/main.ts --store sqlite --seeds 80 --ops 500"),
  exhaustive: script("a crash at every scheduling point of a small run", "sim/main.ts --exhaustive --store sqlite"),
  "crash loop": script("processes on one file, 40 times SIGKILL", `prove/crash/main.ts --cycles 40 --seed ${seed}`),
  "power loss": script(
    "200 images of the disk at random moments of a recorded process",
    `prove/powerloss/main.ts --images 200 --seed ${seed}`,
    (line) => /^seed=\d+, after call (\d+: .*)/.exec(line)?.[1],
  ),
} as const satisfies Readonly<Record<string, Layer>>;

export type LayerName = keyof typeof layers;
export const layerNames = Object.keys(layers) as readonly LayerName[];
/** Nothing hangs on one layer alone. */
export const caughtByOneMax = 15;
