import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { age, duration, shownPath } from "../format.ts";
import type { Output } from "../output.ts";
import { deliveryLine, logLine, subscriptionLine, workerLine } from "./lines.ts";
import { type DevSubscription, type DevWorkerOptions, type Report, stopMessage } from "./report.ts";
import { FileWatch } from "./watch.ts";

/** A child that does not leave within this long, its own grace included, is ended. */
const stopMaxMs = 5_000;
const backoffFirstMs = 200;
const backoffMaxMs = 5_000;
/** A worker that has worked for this long was no failed start. */
const steadyMs = 10_000;

const workerFile = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url),
);

/**
 * Keeps one worker process on the user's app: starts it anew when a file of the app changes, and when it dies by itself.
 * An app that does not start is shown, and the next change awaited.
 */
export class Supervisor {
  readonly #out: Output;
  readonly #options: DevWorkerOptions;
  readonly #watch = new FileWatch((path) => this.#restart(`${shownPath(path)} changed`));
  readonly #over = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #spawnedMs = 0;
  #readyMs: number | undefined;
  #loaded = new Set<string>();
  /** The child has said why it cannot go on. */
  #failed = false;
  /** The child was asked to leave, for another. */
  #replacing = false;
  /** Why this child follows another. */
  #cause: string | undefined;
  #deaths = 0;
  #again: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(out: Output, options: DevWorkerOptions) {
    this.#out = out;
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#stop(), { once: true });
    process.stdin.on("data", this.#onEnter);
    if (process.stdin.isTTY) process.stdin.resume();
    else process.stdin.pause();
    this.#start();
    await this.#over.promise;
    process.stdin.off("data", this.#onEnter).pause();
    this.#watch.close();
  }
  #onEnter = (): void => {
    if (this.#child === undefined) this.#restart("Enter");
  };

  #start(): void {
    clearTimeout(this.#again);
    this.#loaded = new Set();
    this.#failed = false;
    this.#replacing = false;
    this.#readyMs = undefined;
    this.#spawnedMs = Date.now();
    const child = spawn(
      process.execPath,
      [
        ...process.execArgv,
        "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
        workerFile,
        JSON.stringify(this.#options),
      ],
      {
        stdio: ["ignore", this.#out.json ? 2 : "inherit", "inherit", "ipc"],
        serialization: "advanced",
      },
    );
    this.#child = child;
    child.on("message", (report) => this.#hear(report as Report));
    child.once("exit", (code, signal) => {
      const ended = (): void => this.#ended(signal ?? `exit code ${code}`);
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
  #restart(cause: string): void {
    if (this.#stopping) return;
    this.#cause = cause;
    this.#deaths = 0;
    if (this.#child === undefined) return this.#start();
    if (!this.#replacing) this.#stopChild(this.#child);
    this.#replacing = true;
  }

  #ended(how: string): void {
    this.#child = undefined;
    if (this.#stopping) return this.#over.resolve();
    if (this.#replacing) return this.#start();
    const worked = this.#readyMs;
    if (this.#failed && worked === undefined) return this.#await();
    if (worked !== undefined && Date.now() - worked > steadyMs) this.#deaths = 0;
    const waitMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** this.#deaths++);
    this.#tell({ kind: "died", how, waitMs }, `the worker died (${how}), starting it again in ${age(waitMs)}`, "bad");
    this.#cause = "died";
    this.#again = setTimeout(() => this.#start(), waitMs);
  }
  /** The app does not start as it is. */
  #await(): void {
    const file = shownPath(this.#options.file);
    this.#tell(
      { kind: "waiting", file },
      `waiting for a change of ${file}${process.stdin.isTTY ? " (Enter tries again)" : ""}`,
    );
  }

  // ── what is printed ──
  #tell(object: object, text: string, style?: "bad" | "faint"): void {
    this.#out.object(object);
    this.#out.say(text, style);
  }
  #hear(report: Report): void {
    switch (report.kind) {
      case "loaded":
        return this.#loadedFiles(report.files);
      case "ready":
        return this.#ready(report.subscriptions);
      case "deliveries":
        for (const delivery of report.deliveries)
          this.#tell(
            { kind: "delivery", ...delivery },
            deliveryLine(delivery),
            delivery.outcome === "done" ? undefined : delivery.outcome === "dead" ? "bad" : undefined,
          );
        if (report.unshown > 0)
          this.#tell({ kind: "unshown", deliveries: report.unshown }, `... and ${report.unshown} more`, "faint");
        return;
      case "worker":
        return this.#worker(report);
      case "log":
        return this.#tell(report, logLine(report.level, report.message, report.fields));
      case "failed":
        this.#failed = true;
        this.#out.object({ kind: "failed", error: report.error.fields });
        for (const line of report.error.lines) this.#out.say(line, "bad");
    }
  }
  #loadedFiles(files: readonly string[]): void {
    for (const file of files) {
      this.#loaded.add(file);
      this.#watch.add(file, this.#spawnedMs);
    }
  }
  #worker({ message }: Extract<Report, { kind: "worker" }>): void {
    const line = workerLine(message);
    const { kind: event, ...facts } = message;
    this.#out.object({ kind: "worker", event, ...facts });
    if (line !== undefined) this.#out.say(line);
  }
  #ready(subscriptions: readonly DevSubscription[]): void {
    this.#readyMs = Date.now();
    this.#watch.keep(this.#loaded);
    const cause = this.#cause;
    this.#cause = undefined;
    this.#out.object({ kind: cause === undefined ? "started" : "restarted", cause, subscriptions });
    if (cause !== undefined)
      this.#out.say(
        `restarted in ${duration(this.#readyMs - this.#spawnedMs)}${cause === "died" ? "" : ` (${cause})`}`,
      );
    // After a restart those that are as they should be are no news.
    for (const each of subscriptions)
      if (cause === undefined || each.depth > 0 || each.dead > 0) this.#out.say(subscriptionLine(each));
  }
}
