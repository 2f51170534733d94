import type { App } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import type { Duration } from "../duration.ts";
import { openLog } from "./log.ts";
import type { LogAddress } from "./url.ts";
import type { WorkOptions } from "./worker.ts";

export interface RunOptions<Names extends string = string> extends WorkOptions<Names> {
  /** Default: FACTLOG_URL, else "sqlite:factlog.db". */
  readonly url?: LogAddress;
  /** Default 30s. */
  readonly grace?: Duration;
  readonly lease?: Duration;
  readonly logger?: Logger;
}

/**
 * The whole of a worker process: opens the log, works, stops cleanly on SIGTERM and SIGINT (a second signal ends the
 * process at once), closes. Resolves after shutdown, rejects when the worker had to fail stop.
 */
export async function run<N extends string>(app: App<N>, options: RunOptions<NoInfer<N>> = {}): Promise<void> {
  const { url = process.env["FACTLOG_URL"] ?? "sqlite:factlog.db", grace, lease, logger, ...work } = options;
  const signalled = new AbortController();
  const stop = (): void => {
    for (const signal of signals) process.removeListener(signal, stop);
    signalled.abort();
  };
  for (const signal of signals) process.once(signal, stop);
  const log = await openLog(url, {
    source: app.name,
    ...(lease === undefined ? {} : { lease }),
    ...(logger === undefined ? {} : { logger }),
  });
  try {
    const worker = await log.work(app, work as WorkOptions<N>);
    const drain = (): void => void worker.stop(grace === undefined ? {} : { grace }).catch(() => {});
    if (signalled.signal.aborted) drain();
    signalled.signal.addEventListener("abort", drain, { once: true });
    await worker.stopped;
  } finally {
    for (const signal of signals) process.removeListener(signal, stop);
    await log.close();
  }
}
const signals = ["SIGTERM", "SIGINT"] as const;
