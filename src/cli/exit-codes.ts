/** What the process answers its caller. Part of the interface: documented in `--help` and docs/reference/cli.md. */
export const exitCodes = {
  /** It was done; what was looked at is well. */
  ok: 0,
  /** It was refused, or it failed. stderr says the code and what to do next. */
  failed: 1,
  /** The command line is wrong. Nothing was done. */
  usage: 2,
  /** It works, but what was looked at is not well (doctor, demo), or the act waits for a confirmation (nothing was done). */
  notWell: 3,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeTable: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [exitCodes.ok, "done; what was looked at is well"],
  [exitCodes.failed, "refused or failed: stderr says the error's code and what to do next"],
  [exitCodes.usage, "the command line is wrong: nothing was done"],
  [exitCodes.notWell, "not well (doctor, demo), or waiting for a confirmation: nothing was done"],
];
