/** Publishes without end, 20 in flight, and says each acknowledged id on a line of its own, until it is killed. */
import { writeSync } from "node:fs";
import { event } from "../../../../src/conformance/build.ts";
import { realEnv } from "../../../../src/env.ts";
import { sqlite } from "../../../../src/engines/sqlite/index.ts";

const { log } = await sqlite(process.argv[2]!).open(realEnv);
await Promise.all(
  Array.from({ length: 20 }, async () => {
    for (;;) {
      const id = realEnv.uuid();
      await log.append([event({ id, type: "Flood" })]);
      writeSync(1, `${id}\n`);
    }
  }),
);
