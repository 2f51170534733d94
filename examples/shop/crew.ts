/** The processes of a run. Each is ended by its own id: when it is no longer needed, when the run fails, and on Ctrl-C. */
import { type ChildProcess, fork } from "node:child_process";
import { openSync } from "node:fs";
import { join } from "node:path";

export class Child {
  readonly role: string;
  readonly pid: number;
  /** Somebody wanted it to end. */
  ending = false;
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;

  constructor(role: string, process: ChildProcess, ended: (child: Child, how: string) => void) {
    this.role = role;
    this.#process = process;
    this.pid = process.pid ?? 0;
    this.exited = new Promise((resolve) => {
      const gone = (how: string): void => {
        ended(this, how);
        resolve();
      };
      process.once("error", (error) => gone(error.message));
      process.once("exit", (code, signal) => gone(signal ?? `exit code ${code}`));
    });
  }
  /** SIGTERM: it finishes what it is doing. SIGKILL: it does not. Resolves when the process is gone. */
  end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    this.ending = true;
    this.#process.kill(signal);
    return this.exited;
  }
  tell(message: object): void {
    this.#process.send(message);
  }
  hear<M>(listener: (message: M) => void): void {
    this.#process.on("message", (message) => listener(message as M));
  }
}

export class Crew {
  readonly #children = new Set<Child>();
  readonly #log: number;
  readonly #fail: (error: Error) => void;

  /** `logPath`: takes what the processes print. `fail` is called when one ends that nobody wanted to end. */
  constructor(logPath: string, fail: (error: Error) => void) {
    this.#log = openSync(logPath, "a");
    this.#fail = (error) => fail(new Error(`${error.message}: see ${logPath}`));
    process.on("exit", () => this.killAll());
  }

  /** Starts a module of this folder as a process of its own. */
  start(role: string, module: string, args: readonly string[] = []): Child {
    const started = fork(join(import.meta.dirname, module), args, {
      stdio: ["ignore", this.#log, this.#log, "ipc"],
    });
    const child = new Child(role, started, (ended, how) => {
      this.#children.delete(ended);
      if (!ended.ending) this.#fail(new Error(`the process ${role} (${ended.pid}) ended by itself (${how})`));
    });
    this.#children.add(child);
    return child;
  }
  /** Lets all but this one finish what they are doing. */
  async end(but: Child): Promise<void> {
    await Promise.all([...this.#children].filter((child) => child !== but).map((child) => child.end()));
  }
  killAll(): void {
    for (const child of this.#children) void child.end("SIGKILL");
  }
}
