/**
 * A process that does what it is told: lines of JSON in, one line of JSON out for each. A session that it takes is held
 * until it ends.
 */
import { createInterface } from "node:readline";
import { realEnv } from "../../../../src/env.ts";
import { event } from "../../../../src/conformance/build.ts";
import { sqlite } from "../../../../src/engines/sqlite/index.ts";

export type Order =
  | { readonly act: "append"; readonly ids: readonly string[]; readonly type: string }
  | { readonly act: "join" }
  | { readonly act: "count" };

const { log, ledger } = await sqlite(process.argv[2]!).open(realEnv);

async function obey(order: Order): Promise<unknown> {
  switch (order.act) {
    case "append": {
      const { ids, type } = order;
      const all = await Promise.all(ids.map((id) => log.append([event({ id, type, key: id })])));
      return all.map(([place]) => place!.position);
    }
    case "join": {
      const nothing = { serves: [], dead: [], giveBack: [], release: [], want: [] };
      const { session, sessions } = await ledger.lease({ leaseMs: 60_000, crashDueMs: 0, ...nothing });
      return { session, sessions };
    }
    case "count":
      return Object.fromEntries((await log.count()).appended);
  }
}

console.log(JSON.stringify("ready"));
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await obey(JSON.parse(line) as Order)));
}
await ledger.close();
await log.close();
