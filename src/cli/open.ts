import { realEnv } from "../env.ts";
import { type Log, openLog, type OpenOptions } from "../runtime/log.ts";
import { openStore, type SharedStore } from "../runtime/store.ts";
import { engineOf } from "../runtime/url.ts";
import { logAddress, noLog, requireLog, shownAddress, warnOfSecret } from "./log-address.ts";
import type { Call } from "./command.ts";

/** A log that a command has open. */
export interface OpenedLog {
  readonly log: Log;
  /** As people know it. */
  readonly name: string;
  /** What the public face does not show: heads and enrolment. */
  readonly store: SharedStore;
}

/** Opens the log the call is about, runs `use`, closes it. `missing`: whether a log that is not there may be made. */
export async function withLog<T>(
  call: Call,
  missing: "refuse" | "create",
  use: (opened: OpenedLog) => Promise<T>,
  options: OpenOptions = {},
): Promise<T> {
  const url = logAddress(call.options.url);
  warnOfSecret(call.options.url, call.out);
  if (missing === "refuse") requireLog(url);
  const engine = await engineOf(url);
  if (missing === "refuse" && (await engine.exists?.(realEnv)) === false) throw noLog(url);
  await using log = await openLog(engine, options);
  const store = await openStore(realEnv, engine);
  try {
    return await use({ log, name: shownAddress(url), store });
  } finally {
    await store.release();
  }
}
