import { spawnSync } from "node:child_process";

/** Runs a command found on the PATH (npm puts node_modules/.bin first) and ends this process if it fails. */
export function run(command: string, args: readonly string[]): void {
  const result = spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`${command} ${args.join(" ")} failed (${result.signal ?? `exit code ${result.status}`})`);
    process.exit(1);
  }
}
