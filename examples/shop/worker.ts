/** A worker process: `worker.ts --app shop payment shipping` serves two subscriptions of the shop until SIGTERM. */
import { type App, type Duration, run } from "factlog";
import { parseArgs } from "node:util";
import forecast from "./forecast.ts";
import shop from "./app.ts";

const apps: Readonly<Record<string, App>> = { shop, forecast };
const { values, positionals: only } = parseArgs({
  options: { app: { type: "string" }, lease: { type: "string", default: "15s" } },
  allowPositionals: true,
});
const app = apps[values.app ?? "shop"];
if (app === undefined) throw new Error(`there is no app ${values.app}`);

// Never outlives its parent.
process.on("disconnect", () => process.exit(1));
// The log is at FACTLOG_URL.
await run(app, { ...(only.length === 0 ? {} : { only }), lease: values.lease as Duration });
process.exit();
