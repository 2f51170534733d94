/** Opens the log named, and says the code of the refusal, or "opened". */
import { realEnv } from "../../../../src/env.ts";
import { sqlite } from "../../../../src/engines/sqlite/index.ts";

try {
  const { log, ledger } = await sqlite(process.argv[2]!).open(realEnv);
  await log.close();
  await ledger.close();
  console.log("opened");
} catch (error) {
  console.log((error as { code: string }).code);
}
