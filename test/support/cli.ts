import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { appTemplate } from "../../src/cli/app-template.ts";

const main = resolve("src/cli/main.ts");
/** A fact that has not been printed for this long will not come. */
const factMaxMs = 60_000;

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** A process whose output is read as it comes. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
  #stdout = "";
  #stderr = "";
  #seen = 0;
  #all = "";
  #heard = Promise.withResolvers<void>();

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#hear(text);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#hear(text);
    });
    this.ended = once(child, "close").then(([code]) => {
      this.#heard.resolve();
      return { code: code as number | null, stdout: this.#stdout, stderr: this.#stderr };
    });
  }
  #hear(text: string): void {
    this.#all += text;
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }
  get output(): string {
    return this.#all;
  }
  /** Waits until all of these are printed, in whatever order, after what was last waited for. */
  async printsAll(...patterns: readonly RegExp[]): Promise<void> {
    const from = this.#seen;
    let last = from;
    for (const pattern of patterns) {
      this.#seen = from;
      await this.prints(pattern);
      last = Math.max(last, this.#seen);
    }
    this.#seen = last;
  }
  /** Waits until this is printed, after what was last waited for. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, factMaxMs);
    try {
      for (;;) {
        const found = pattern.exec(this.#all.slice(this.#seen));
        if (found !== null) {
          this.#seen += found.index + found[0].length;
          return found;
        }
        const over = await Promise.race([
          this.#heard.promise,
          this.ended.then(() => "ended"),
          late.promise.then(() => "late"),
        ]);
        if (over !== undefined && pattern.exec(this.#all.slice(this.#seen)) === null)
          throw new Error(`${over} without ${pattern}:\n${this.#all}`);
      }
    } finally {
      clearTimeout(timer);
    }
  }
  type(text: string): void {
    this.child.stdin?.write(text);
  }
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<Ran> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** The command line from the sources, as a process is started. */
export const commandLine = (args: readonly string[]): readonly [string, ...string[]] => [
  process.execPath,
  "--conditions=@factlog/source",
  main,
  ...args,
];

/** Starts it; ended with the test at the latest. */
export function start(t: TestContext, args: readonly string[], { cwd, env = {}, input }: RunOptions): Running {
  const [program, ...rest] = commandLine(args);
  const child = spawn(program, rest, {
    cwd,
    env: { ...process.env, FACTLOG_URL: "", ...env },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  if (input !== undefined) child.stdin?.end(input);
  t.after(() => child.kill("SIGKILL"));
  return new Running(child);
}

/** Why there is no terminal to be had here, or false. */
export const noPty: string | false = spawnSync("script", ["--version"]).error === undefined ? false : "no `script`";

/** The same on a pseudo-terminal, whose other end the test holds: in the shell's place, or Ctrl-C would end the shell. */
export function startOnTerminal(t: TestContext, args: readonly string[], { cwd }: RunOptions): Running {
  const command = commandLine(args).map((each) => `'${each}'`);
  const child = spawn("script", ["--quiet", "--return", "--command", `exec ${command.join(" ")}`, "/dev/null"], {
    cwd,
    env: { ...process.env, FACTLOG_URL: "" },
    stdio: "pipe",
  });
  t.after(() => child.kill("SIGKILL"));
  return new Running(child);
}

/** Runs one command line to its end. */
export function factlog(t: TestContext, args: readonly string[], options: RunOptions): Promise<Ran> {
  return start(t, args, options).ended;
}

/** An empty folder, removed with the test, in which `factlog` and `zod` can be imported. */
export function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "factlog-cli-"));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(resolve("."), join(folder, "node_modules/factlog"), "junction");
  symlinkSync(resolve("node_modules/zod"), join(folder, "node_modules/zod"), "junction");
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  return folder;
}

/** The same with the app that `factlog init` writes: with these first lines in its handler, and more options. */
export function shopFolder(t: TestContext, handler = "", options = ""): string {
  const folder = emptyFolder(t);
  writeApp(folder, handler, options);
  return folder;
}

export function writeApp(folder: string, handler: string, options = ""): void {
  const app = appTemplate
    .replace("{ on: OrderPlaced }", `{ on: OrderPlaced, ${options} }`)
    .replace("  // Delivered at least once", `${handler}\n  // Delivered at least once`);
  writeFileSync(join(folder, "app.ts"), app);
}

export const order = (orderId: string, sku = "cd"): string => JSON.stringify({ orderId, sku });

/** The JSON objects a command has printed, one a line. */
export const objectsIn = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
