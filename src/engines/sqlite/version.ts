import { FactlogError } from "../../errors.ts";

/** 3.7.0 to 3.51.2 can corrupt a WAL file when two connections write and checkpoint at once. */
const oldest = [3, 51, 3] as const;

/** Throws SQLITE_TOO_OLD below 3.51.3. `version` as in `process.versions.sqlite`. */
export function requireSqlite(version: string | undefined): void {
  const [major = 0, minor = 0, patch = 0] = (version ?? "").split(".").map(Number);
  const order = major - oldest[0] || minor - oldest[1] || patch - oldest[2];
  if (order >= 0) return;
  throw new FactlogError(
    "SQLITE_TOO_OLD",
    `this Node.js carries SQLite ${version ?? "(none)"}, which can corrupt its log: take a Node.js with ${oldest.join(".")} or newer.`,
    { details: { version, oldest: oldest.join(".") } },
  );
}
