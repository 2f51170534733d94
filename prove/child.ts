import { type ChildProcess, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Every process that was started and has not ended. */
const running = new Set<Child>();
process.on("exit", () => {
  for (const child of running) child.kill();
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

export interface ChildOptions {
  /** What is put before node: a tracer, say. */
  readonly under?: readonly string[];
  /** Flags of node. */
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A script of prove/ in a process of its own. It talks in JSON lines on stdout; stderr is kept, and shown if asked. */
export class Child {
  readonly #process: ChildProcess;
  readonly #isGroup: boolean;
  readonly #hear: (said: unknown) => void;
  readonly #errors: string[] = [];
  /** Resolves when it has ended and all it said was heard. */
  readonly ended: Promise<Exit>;
  exit: Exit | undefined;

  constructor(script: string, args: readonly string[], hear: (said: unknown) => void, options: ChildOptions = {}) {
    this.#hear = hear;
    const path = fileURLToPath(new URL(script, import.meta.url));
    const [command = "", ...rest] = [
      ...(options.under ?? []),
      process.execPath,
      "--conditions=@factlog/source",
      ...(options.node ?? []),
      path,
      ...args,
    ];
    // Most of a start is reading and stripping the sources: a cache makes room for more cycles a second.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "factlog-prove-cache"), ...options.env };
    // A tracer that is killed leaves its process behind: both are a group, which is killed whole.
    this.#isGroup = options.under !== undefined;
    this.#process = spawn(command, rest, { stdio: ["pipe", "pipe", "pipe"], env, detached: this.#isGroup });
    this.#process.stdin?.on("error", () => {});
    if (this.#process.stdout !== null) createInterface({ input: this.#process.stdout }).on("line", this.#line);
    if (this.#process.stderr !== null)
      createInterface({ input: this.#process.stderr }).on("line", (line) => void this.#errors.push(line));
    running.add(this);
    this.ended = new Promise((resolve) => {
      this.#process.once("close", (code, signal) => {
        running.delete(this);
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  readonly #line = (line: string): void => {
    // A process that was killed may leave half a line.
    let said: unknown;
    try {
      said = JSON.parse(line);
    } catch {
      return;
    }
    this.#hear(said);
  };

  get pid(): number {
    return this.#process.pid ?? 0;
  }
  get errors(): readonly string[] {
    return this.#errors;
  }
  tell(message: object): void {
    this.#process.stdin?.write(`${JSON.stringify(message)}\n`);
  }
  /** Ends its stdin. */
  hangUp(): void {
    this.#process.stdin?.end();
  }
  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (!this.#isGroup || this.#process.pid === undefined) return void this.#process.kill(signal);
    try {
      process.kill(-this.#process.pid, signal);
    } catch {
      // All of them have ended.
    }
  }
}
