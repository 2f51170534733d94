import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foreignLog, pairing, subjectOf, type Subject } from "../../src/conformance/index.ts";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { freshPlace, serverNames } from "../support/postgres.ts";

async function inDirectory(make: (path: string) => EngineHandle, dropEvents?: () => Promise<void>): Promise<Subject> {
  const directory = await mkdtemp(join(tmpdir(), "factlog-conformance-"));
  const dispose = (): Promise<void> => rm(directory, { recursive: true, force: true });
  return subjectOf(make(join(directory, "log.db")), { dispose, ...(dropEvents === undefined ? {} : { dropEvents }) });
}

/** On a server of that release; alone, or as the ledger beside a foreign log. */
async function onServer(name: string, slots: number): Promise<Subject> {
  const { handle, remove } = await freshPlace(name);
  return subjectOf(handle({ slots }), { dispose: remove });
}
async function besideForeign(name: string, slots: number): Promise<Subject> {
  const { handle, remove } = await freshPlace(name);
  const log = foreignLog({ slots });
  return subjectOf(pairing(log, handle()), { dispose: remove, dropEvents: () => log.dropEvents() });
}

/** Every engine that the suite runs on, each time with a fresh store. */
export const subjectsWith = (slots: number): Readonly<Record<string, () => Promise<Subject>>> => ({
  memory: async () => subjectOf(memory({ slots })),
  "sqlite file": () => inDirectory((path) => sqlite(path, { slots })),
  "sqlite in memory": async () => subjectOf(sqlite(":memory:", { slots }), { alone: true }),
  "foreign log with a memory ledger": async () => {
    const log = foreignLog({ slots });
    return subjectOf(pairing(log, memory({ slots })), { dropEvents: () => log.dropEvents() });
  },
  "foreign log with an sqlite ledger": () => {
    const log = foreignLog({ slots });
    return inDirectory(
      (path) => pairing(log, sqlite(path)),
      () => log.dropEvents(),
    );
  },
  ...Object.fromEntries(
    serverNames.flatMap((name) => [
      [name, () => onServer(name, slots)],
      [`foreign log with a ${name} ledger`, () => besideForeign(name, slots)],
    ]),
  ),
});
