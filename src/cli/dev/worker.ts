/** The process in which `factlog dev` runs the user's app. Its parent starts it, hears what it reports, and prints. */
import { registerHooks } from "node:module";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { AppSpec } from "../../app/app.ts";
import type { Logger } from "../../app/context.ts";
import { deliveryStage, workerStage } from "../../observe/channels.ts";
import { type Log, openLog } from "../../runtime/log.ts";
import type { Worker } from "../../runtime/worker.ts";
import { loadApp } from "../app-file.ts";
import { shownError } from "../failure.ts";
import { DeliveryReports } from "./delivery-reports.ts";
import { type DevWorkerOptions, type DevSubscription, type Report, stopMessage } from "./report.ts";

const send = (report: Report): void => void process.send?.(report);
const deliveries = new DeliveryReports(send);

/** Leaves once all reports are out; a handler that hangs must not hold the process. */
function leave(code: number): void {
  deliveries.flush();
  if (process.connected) process.send?.({ kind: "loaded", files: [] } satisfies Report, () => process.exit(code));
  else process.exit(code);
}

function reportLoadedFiles(): void {
  const root = process.cwd() + sep;
  registerHooks({
    load(url, context, next) {
      const path = url.startsWith("file:") ? fileURLToPath(url.split(/[?#]/u)[0] ?? url) : "";
      if (path.startsWith(root) && !path.includes(`${sep}node_modules${sep}`)) send({ kind: "loaded", files: [path] });
      return next(url, context);
    },
  });
}

/** The runtime's own warnings about failed attempts are left out: their deliveries are reported. */
function report(level: string, message: string, fields?: object): void {
  if (fields !== undefined && "failures" in fields && "subscription" in fields) return;
  send({ kind: "log", level, message, fields });
}
const logger: Logger = {
  debug: () => {},
  info: (message, fields) => report("info", message, fields),
  warn: (message, fields) => report("warn", message, fields),
  error: (message, fields) => report("error", message, fields),
};

async function subscriptionsOf(log: Log, spec: AppSpec): Promise<readonly DevSubscription[]> {
  const statuses = await log.operator.status();
  return statuses.flatMap((status) => {
    const known = spec.subscriptions.find((each) => each.name === status.name);
    return known === undefined ? [] : [{ ...status, types: known.on.map((event) => event.type) }];
  });
}

async function work(options: DevWorkerOptions, stopping: Promise<void>): Promise<void> {
  reportLoadedFiles();
  const { app, spec } = await loadApp(options.file);
  appLoaded = true;
  const { only, except } = options;
  const log = await openLog(options.url, { source: app.name, logger });
  const worker: Worker = await log.work(app, {
    ...(only === undefined ? {} : { only }),
    ...(except === undefined ? {} : { except }),
  });
  void stopping.then(() => worker.stop({ grace: "2s" })).catch(() => {});
  const server =
    options.http === undefined
      ? undefined
      : await (await import("../http-server.ts")).serveHttp(app, options.url, { port: options.http }, logger);
  if (server !== undefined) report("info", `serving ${server.url}`);
  send({ kind: "ready", subscriptions: await subscriptionsOf(log, spec) });
  try {
    await worker.stopped;
  } finally {
    await server?.close();
  }
  await log.close();
}

let appLoaded = false;
const stop = Promise.withResolvers<void>();
process.on("message", (message) => message === stopMessage && stop.resolve());
process.on("disconnect", () => stop.resolve());
/** Ctrl-C reaches the whole group; the parent says when to stop. */
process.on("SIGINT", () => {});
workerStage.subscribe((message) => send({ kind: "worker", message }));
deliveryStage.subscribe((message) => deliveries.add(message));

try {
  await work(JSON.parse(process.argv[2] ?? "{}") as DevWorkerOptions, stop.promise);
  leave(0);
} catch (error) {
  send({ kind: "failed", error: shownError(error), again: appLoaded });
  leave(1);
}
