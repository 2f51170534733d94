const signals = ["SIGINT", "SIGTERM"] as const;

/** Runs `work` until it ends or Ctrl-C or SIGTERM asks it to; a second signal ends the process at once. */
export async function untilStopped<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = (): void => {
    forget();
    stop.abort();
  };
  const forget = (): void => {
    for (const signal of signals) process.removeListener(signal, onSignal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  try {
    return await work(stop.signal);
  } finally {
    forget();
  }
}
