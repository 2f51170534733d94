import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { openLog } from "../../src/index.ts";
import { app } from "../app.ts";
import { complaints, factsOf, rowsAreRight } from "../judge.ts";
import { errorsOnly } from "../say.ts";

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
