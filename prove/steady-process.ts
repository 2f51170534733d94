/**
 * A process that does everything: `steady-process.ts FILE FACTS`. Makes the log, publishes and works; says what was
 * acknowledged. Where the store fails it says so in one line on stderr and ends with 1.
 */
import { openLog } from "../src/index.ts";
import { app, keys, makeEffectTable, publisher } from "./app.ts";
import { factOf } from "./facts.ts";
import { errorsOnly, say } from "./say.ts";

const [file = "", facts = "0"] = process.argv.slice(2);
const lanes = 6;
let next = 0;

try {
  await using log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
  makeEffectTable(file);
  const worker = await log.work(app);
  const lane = async (): Promise<void> => {
    while (next < Number(facts)) {
      const { id } = await log.publish(factOf(publisher, next++, keys));
      say({ ack: id });
    }
  };
  // Where publishers fail, so does the worker, and the other way round: whoever is first tells.
  await Promise.race([Promise.all(Array.from({ length: lanes }, lane)), worker.stopped]);
  await worker.stop();
} catch (error) {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  process.stderr.write(`${JSON.stringify({ code: code ?? "", message: message ?? String(error) })}\n`);
  process.exitCode = 1;
}
