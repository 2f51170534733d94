import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { shownPath } from "../format.ts";
import { type DevWorkerOptions, type Report, stopMessage } from "./report.ts";
import type { Screen } from "./screen.ts";
import { FileWatch } from "./watch.ts";

/** A child that does not leave within this long, its own grace included, is ended. */
const stopMaxMs = 5_000;
const backoffFirstMs = 200;
const backoffMaxMs = 5_000;
/** A worker that has worked for this long was no failed start. */
const steadyMs = 10_000;
/** The app is well but its worker cannot start: another terminal may have mended that. */
const againMs = 3_000;

const workerFile = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url),
);
const quiet = "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON";

type Failure = Extract<Report, { kind: "failed" }>;

/**
 * Keeps one worker process on the user's app: starts it anew when a file of the app changes, and when it dies by itself.
 * An app that does not start is shown, and the next change awaited.
 */
export class Supervisor {
  readonly #screen: Screen;
  readonly #options: DevWorkerOptions;
  readonly #watch = new FileWatch((path) => this.#changed(path));
  readonly #over = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #spawnedMs = 0;
  #readyMs: number | undefined;
  #loaded = new Set<string>();
  /** Why this child cannot go on, as it has said itself. */
  #failure: Failure | undefined;
  /** The failure that is on the screen. */
  #shown: string | undefined;
  /** The child was asked to leave, for another. */
  #replacing = false;
  /** Why this child follows another. */
  #cause: string | undefined;
  #deaths = 0;
  #again: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(screen: Screen, options: DevWorkerOptions) {
    this.#screen = screen;
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#stop(), { once: true });
    this.#start();
    await this.#over.promise;
    this.#watch.close();
  }
  #start(): void {
    clearTimeout(this.#again);
    this.#loaded = new Set();
    this.#failure = undefined;
    this.#replacing = false;
    this.#readyMs = undefined;
    this.#spawnedMs = Date.now();
    const child = spawn(process.execPath, [...process.execArgv, quiet, workerFile, JSON.stringify(this.#options)], {
      stdio: ["ignore", this.#screen.json ? 2 : "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    this.#child = child;
    child.on("message", (report) => this.#hear(report as Report));
    child.once("exit", (code, signal) => {
      const ended = (): void => this.#ended(signal ?? `exit code ${code}`);
      // What it has said may still be on its way.
      if (child.connected) child.once("disconnect", ended);
      else ended();
    });
  }
  #stop(): void {
    this.#stopping = true;
    clearTimeout(this.#again);
    if (this.#child === undefined) this.#over.resolve();
    else this.#stopChild(this.#child);
  }
  #stopChild(child: ChildProcess): void {
    child.send(stopMessage, () => {});
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMaxMs);
    child.once("exit", () => clearTimeout(timer));
  }

  #hear(report: Report): void {
    switch (report.kind) {
      case "loaded":
        for (const file of report.files) {
          this.#loaded.add(file);
          this.#watch.add(file, this.#spawnedMs);
        }
        return;
      case "ready":
        this.#readyMs = Date.now();
        this.#watch.keep(this.#loaded);
        this.#screen.ready(report.subscriptions, this.#cause, this.#readyMs - this.#spawnedMs);
        this.#cause = undefined;
        this.#shown = undefined;
        return;
      case "deliveries":
        return this.#screen.deliveries(report);
      case "worker":
        return this.#screen.worker(report.message);
      case "log":
        return this.#screen.log(report);
      case "failed":
        this.#failure = report;
    }
  }
  #changed(path: string): void {
    if (this.#stopping) return;
    this.#cause = `${shownPath(path)} changed`;
    this.#deaths = 0;
    this.#shown = undefined;
    if (this.#child === undefined) return this.#start();
    if (!this.#replacing) this.#stopChild(this.#child);
    this.#replacing = true;
  }
  #ended(how: string): void {
    this.#child = undefined;
    if (this.#stopping) return this.#over.resolve();
    if (this.#replacing) return this.#start();
    if (this.#failure !== undefined && this.#readyMs === undefined) return this.#await(this.#failure);
    if (this.#failure !== undefined) this.#screen.failed(this.#failure.error);
    this.#revive(how);
  }
  /** The app does not start as it is. */
  #await({ error, again }: Failure): void {
    if (again) this.#again = setTimeout(() => this.#start(), againMs);
    const text = error.lines.join("\n");
    if (text === this.#shown) return;
    this.#shown = text;
    this.#screen.failed(error);
    this.#screen.waiting(shownPath(this.#options.file));
  }
  #revive(how: string): void {
    if (this.#readyMs !== undefined && Date.now() - this.#readyMs > steadyMs) this.#deaths = 0;
    const waitMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** this.#deaths++);
    this.#screen.died(how, waitMs);
    this.#cause = "after its death";
    this.#again = setTimeout(() => this.#start(), waitMs);
  }
}
