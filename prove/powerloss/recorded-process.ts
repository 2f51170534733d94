/**
 * The process that is recorded: `recorded-process.ts FILE FACTS`. Makes the log, publishes and works. What it says on
 * stdout is recorded too: that is how the replay knows what was acknowledged at which moment.
 */
import { DatabaseSync } from "node:sqlite";
import { openLog } from "../../src/index.ts";
import { factOf } from "../facts.ts";
import { errorsOnly, say } from "../say.ts";
import { app, effectTable, keys, publisher } from "./app.ts";

const [file = "", facts = "0"] = process.argv.slice(2);
const lanes = 6;
let next = 0;

await using log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
const own = new DatabaseSync(file, { timeout: 5_000 });
own.exec(effectTable);
own.close();
const worker = await log.work(app);
await Promise.all(Array.from({ length: lanes }, lane));
await worker.stop();

async function lane(): Promise<void> {
  while (next < Number(facts)) {
    const n = next++;
    const { id } = await log.publish(factOf(publisher, n, keys));
    say({ ack: id });
  }
}
