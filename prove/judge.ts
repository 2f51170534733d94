import { DatabaseSync } from "node:sqlite";
import type { Log } from "../src/index.ts";
import { effectTable, keys, publisher } from "./app.ts";
import { factOf } from "./facts.ts";

/** What the doctor complains of. */
export async function complaints(log: Log): Promise<readonly string[]> {
  return (await log.inspect()).flatMap(({ check, ok, message }) => (ok ? [] : [`${check}: ${message}`]));
}

/** The facts in the log, and those of them that are not as they were stated. */
export async function factsOf(
  log: Log,
): Promise<{ readonly ids: ReadonlySet<string>; readonly wrong: readonly string[] }> {
  const ids = new Set<string>();
  const wrong: string[] = [];
  for await (const { type, id, data } of log.read()) {
    if (type !== "Fact") continue;
    ids.add(id);
    const stated = factOf(publisher, Number(id.slice(publisher.length + 1)), keys);
    if (JSON.stringify(data) !== JSON.stringify(stated.data)) wrong.push(`${id} has other content`);
  }
  return { ids, wrong };
}

/** No row twice, none of a fact that is not there; in the end (`all`) one for each. */
export function rowsAreRight(file: string, facts: ReadonlySet<string>, all: boolean): readonly string[] {
  const own = new DatabaseSync(file, { timeout: 5_000 });
  try {
    own.exec(effectTable);
    const rows = own.prepare("SELECT id FROM effect").all() as unknown as readonly { readonly id: string }[];
    const ids = new Set(rows.map(({ id }) => id));
    const wrong = [...ids].filter((id) => !facts.has(id)).map((id) => `a row of ${id}, which is not there`);
    if (ids.size < rows.length) wrong.push(`${rows.length - ids.size} rows twice`);
    if (all && ids.size < facts.size) wrong.push(`${facts.size - ids.size} facts without their row`);
    return wrong;
  } finally {
    own.close();
  }
}
