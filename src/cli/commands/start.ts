import type { Command } from "commander";
import type { App } from "../../app/app.ts";
import type { Logger } from "../../app/context.ts";
import { FactlogError } from "../../errors.ts";
import { deliveryStage, workerStage } from "../../observe/channels.ts";
import { openLog } from "../../runtime/log.ts";
import { run } from "../../runtime/run.ts";
import { loadApp } from "../app-file.ts";
import { act, type Call, type Finish, listOption, numberOption, portOption, withCommonOptions } from "../command.ts";
import { plural } from "../format.ts";
import { logAddress, shownAddress, warnOfSecret } from "../log-address.ts";
import { untilStopped } from "../signals.ts";

interface StartOptions {
  readonly only?: readonly string[];
  readonly except?: readonly string[];
  readonly once?: boolean;
  readonly http?: number;
  readonly host?: string;
  readonly logRequests?: boolean;
  readonly metrics?: number;
}

export function addStart(program: Command, finish: Finish): void {
  const command = program
    .command("start")
    .description(
      "work on an app's subscriptions until SIGTERM has drained it; logs as JSON lines on stderr. Start as many as you like",
    )
    .argument("<app>", "file whose default export is an app")
    .addOption(listOption("--only <names>", "only these subscriptions, separated by commas"))
    .addOption(listOption("--except <names>", "all but these"))
    .option("--once", "end when nothing is due any more: for cron and serverless")
    .addOption(portOption())
    .option(
      "--host <address>",
      "with --http: listen on this address, for others who have an access token (default: 127.0.0.1)",
    )
    .option("--log-requests", "with --http: one line for each request; no query, header or body is in it")
    .addOption(
      numberOption(
        "--metrics <port>",
        "serve /metrics for Prometheus on this port of 127.0.0.1; 0: a free one",
      ).conflicts("once"),
    );
  act<StartOptions>(withCommonOptions(command), finish, start);
}

async function start({ out, options }: Call<StartOptions>, file = ""): Promise<void> {
  const { app, name } = await loadApp(file);
  const url = logAddress(options.url);
  warnOfSecret(options.url, out);
  const chosen = {
    ...(options.only === undefined ? {} : { only: options.only }),
    ...(options.except === undefined ? {} : { except: options.except }),
  };
  logger.info("working", { app: app.name, file: name, log: shownAddress(url), pid: process.pid, ...chosen });
  tellOfWorkers();
  if (options.once !== true) {
    await using _ = options.metrics === undefined ? undefined : await serveMetrics(url, options.metrics);
    await runWith(app, url, options, chosen);
    logger.info("stopped", { app: app.name });
    return out.object({ stopped: true, app: app.name });
  }
  if (options.http !== undefined)
    throw new FactlogError(
      "INVALID_OPTION",
      "--once ends by itself, --http serves until it is stopped: give one of them.",
    );
  await using log = await openLog(url, { source: app.name, logger });
  const summary = await untilStopped((signal) => log.drain(app, { ...chosen, signal }));
  out.object(summary);
  out.say(
    `${plural(summary.deliveries, "delivery", "deliveries")}, ${summary.dead} dead, ${summary.waiting} waiting for another attempt`,
  );
}

/** Works, and serves HTTP beside it until the work has ended: what is followed is seen to its end. */
async function runWith(app: App, url: string, options: StartOptions, chosen: object): Promise<void> {
  const { http: port, host, logRequests } = options;
  if (port === undefined && (host !== undefined || logRequests !== undefined))
    throw new FactlogError("INVALID_OPTION", "--host and --log-requests are about HTTP: give --http PORT too.");
  if (port === undefined) return run(app, { url, logger, ...chosen });
  const { serveHttp } = await import("../http-server.ts");
  const server = await serveHttp(
    app,
    url,
    { port, ...(host === undefined ? {} : { host }), ...(logRequests === undefined ? {} : { logRequests }) },
    logger,
  );
  logger.info("serving", { url: server.url });
  try {
    await run(app, { url, logger, ...chosen });
  } finally {
    await server.close();
  }
}

/** Until it is disposed of. The log is the one that the worker has open. */
async function serveMetrics(url: string, port: number): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const log = stack.use(await openLog(url, { logger }));
  const { MetricsServer } = await import("../metrics-server.ts");
  const server = stack.use(new MetricsServer(() => log.metrics(), logger));
  logger.info("metrics", { url: await server.listen(port) });
  return stack.move();
}

const line = (level: string, message: string, fields?: object): void => {
  const at = new Date().toISOString();
  let text: string;
  try {
    text = JSON.stringify({ at, level, message, ...fields });
  } catch {
    text = JSON.stringify({ at, level, message });
  }
  process.stderr.write(`${text}\n`);
};

/** One JSON object a line on stderr. */
const logger: Logger = {
  debug: () => {},
  info: (message, fields) => line("info", message, fields),
  warn: (message, fields) => line("warn", message, fields),
  error: (message, fields) => line("error", message, fields),
};

/** Coming, going and taking over, and what is delivered again because of it; failures the runtime logs by itself. */
function tellOfWorkers(): void {
  workerStage.subscribe(({ kind, ...facts }) =>
    logger.info(kind === "took-over" && "subscription" in facts ? `took over ${facts.subscription}` : kind, facts),
  );
  deliveryStage.subscribe(({ again, outcome, subscription, type, id, durationMs }) => {
    if (again)
      logger.info(`${type} ${id} -> ${subscription} was delivered again after a worker died, same idempotency key`, {
        subscription,
        type,
        event: id,
        outcome,
        durationMs,
      });
  });
}
