/** The client runs in browsers too, so it has no Env: its timers are here. */
export function wait(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, delayMs);
    signal.addEventListener("abort", finish, { once: true });
  });
}

const firstMs = 200;
const mostMs = 10_000;

/** How long to wait before attempt `failures` + 1: doubling, anywhere below the bound, so that readers do not come as one. */
export function backOffMs(failures: number): number {
  return Math.random() * Math.min(mostMs, firstMs * 2 ** Math.min(failures, 16));
}
