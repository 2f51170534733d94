/** A worker process: `worker.ts shop payment shipping` serves two subscriptions of the shop until SIGTERM. */
import { type App, run } from "factlog";
import { forecast } from "./forecast.ts";
import { shop } from "./app.ts";

const apps: Readonly<Record<string, App>> = { shop, forecast };
const [name = "shop", ...only] = process.argv.slice(2);
const app = apps[name];
if (app === undefined) throw new Error(`there is no app ${name}`);

// Never outlives its parent.
process.on("disconnect", () => process.exit(1));
// The log is at FACTLOG_URL. A short lease, so that a process that hangs is noticed soon; a dead one is noticed at once.
await run(app, { ...(only.length === 0 ? {} : { only }), lease: "2s" });
process.exit();
