/** Publishes one event after the other, whatever comes of it, and says at the end what came of each. */
import { codeOf, event } from "../../../../src/conformance/build.ts";
import { realEnv } from "../../../../src/env.ts";
import { sqlite } from "../../../../src/engines/sqlite/index.ts";

const { log, ledger } = await sqlite(process.argv[2]!).open(realEnv);
const acknowledged: string[] = [];
const codes: string[] = [];
for (let i = 0; i < 60; i++) {
  const id = `event-${i}`;
  const code = await codeOf(log.append([event({ id })]));
  if (code === "resolved") acknowledged.push(id);
  else codes.push(code);
}
await ledger.close();
await log.close();
console.log(JSON.stringify({ acknowledged, codes }));
