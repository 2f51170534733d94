/**
 * Stands in for a wall clock that jumps: `Date.now()` is off by the milliseconds in the file CLOCK_FILE, read again at
 * every SIGUSR2. Only this process is affected; the monotonic clock and timers go on as they are.
 */
import { readFileSync } from "node:fs";

const real = Date.now.bind(Date);
let offsetMs = 0;
const read = (): void => {
  offsetMs = Number(readFileSync(process.env["CLOCK_FILE"] ?? "", "utf8"));
};
read();
process.on("SIGUSR2", read);
Date.now = () => real() + offsetMs;
