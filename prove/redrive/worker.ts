/** A worker whose handler is mended: what it is redriven goes to the receiver. Arguments: the log, the receiver. */
import { openLog } from "../../src/index.ts";
import { errorsOnly, say } from "../say.ts";
import { appOf } from "./app.ts";

const [url = "", receiver = ""] = process.argv.slice(2);
const log = await openLog(url, { logger: { ...errorsOnly, error: () => {} } });
await log.work(
  appOf(async (arrived) => {
    const response = await fetch(receiver, { method: "POST", body: JSON.stringify(arrived) });
    if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
  }),
);
say({ kind: "works" });
