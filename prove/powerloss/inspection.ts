import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Log, openLog } from "../../src/index.ts";
import { factOf } from "../facts.ts";
import { errorsOnly } from "../say.ts";
import { app, effectTable, keys, publisher } from "./app.ts";

/** What was wrong with one image: nothing, most of the time. */
export interface Verdict {
  readonly lost: readonly string[];
  readonly wrong: readonly string[];
  readonly events: number;
}

/**
 * Opens an image as the product does and compares it with what was said up to its moment. `work`: lets the
 * subscriptions finish, and compares again.
 */
export async function inspectImage(
  directory: string,
  image: ReadonlyMap<string, Buffer>,
  acked: ReadonlySet<string>,
  work: boolean,
): Promise<Verdict> {
  mkdirSync(directory);
  try {
    for (const [file, bytes] of image) writeFileSync(join(directory, basename(file)), bytes);
    const file = join(directory, "log.db");
    await using log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
    const facts = await factsOf(log);
    const lost = [...acked].filter((id) => !facts.ids.has(id));
    const wrong = [...facts.wrong, ...(await complaints(log)), ...rowsAreRight(file, facts.ids, false)];
    if (work) {
      await log.drain(app, { timeout: "30s" });
      wrong.push(...(await complaints(log)), ...rowsAreRight(file, facts.ids, true));
    }
    return { lost, wrong, events: facts.ids.size };
  } catch (error) {
    return { lost: [], wrong: [`it does not open: ${String(error)}`], events: 0 };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function complaints(log: Log): Promise<readonly string[]> {
  return (await log.inspect()).flatMap(({ check, ok, message }) => (ok ? [] : [`${check}: ${message}`]));
}

async function factsOf(log: Log): Promise<{ readonly ids: ReadonlySet<string>; readonly wrong: readonly string[] }> {
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

/** No row twice, none of a fact that is not there; in the end one for each. */
function rowsAreRight(file: string, facts: ReadonlySet<string>, all: boolean): readonly string[] {
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
