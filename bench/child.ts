import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A script of bench/processes in a process of its own. */
export class Child {
  readonly #process;
  readonly #messages: unknown[] = [];
  #hear: ((message: unknown) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;
  readonly #exit: Promise<void>;

  constructor(script: string, args: readonly string[], nodeOptions: readonly string[] = []) {
    const path = fileURLToPath(new URL(`processes/${script}`, import.meta.url));
    this.#process = fork(path, args, { execArgv: ["--conditions=@factlog/source", ...nodeOptions] });
    this.#process.on("message", (message) => {
      if (this.#hear === undefined) this.#messages.push(message);
      else this.#hear(message);
    });
    this.#exit = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => {
        this.#fail?.(new Error(`${script} ended early (${code ?? signal})`));
        resolve();
      });
    });
  }

  tell(message: string): void {
    this.#process.send(message);
  }

  /** The next thing it says. */
  hear<T>(): Promise<T> {
    if (this.#messages.length > 0) return Promise.resolve(this.#messages.shift() as T);
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#hear = (message) => {
        this.#hear = undefined;
        this.#fail = undefined;
        resolve(message as T);
      };
    });
  }

  /** Resolves when it has ended. */
  ended(): Promise<void> {
    return this.#exit;
  }
}

/** In the child: says something to the parent. */
export function say(message: unknown): void {
  process.send?.(message);
}

/** In the child: resolves when the parent says something. */
export function told(): Promise<unknown> {
  return new Promise((resolve) => process.once("message", resolve));
}
