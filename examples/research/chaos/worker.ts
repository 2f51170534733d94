/** A worker process of the crew, until SIGTERM. The log is at FACTLOG_URL, the model where FACTLOG_MODEL_URL says. */
import { run } from "factlog";
import { researchApp } from "../app.ts";
import { speeches } from "../documents.ts";
import { modelOf } from "../model.ts";
import { textsOf } from "../research.ts";
import { concurrency, hangMs } from "./provider.ts";

// Never outlives its parent.
process.on("disconnect", () => process.exit(1));
const app = researchApp(modelOf(process.env), textsOf(speeches()), {
  // What fails is asked for again within the attempt. Every death counts as a crash of all that was under way.
  call: { timeout: hangMs, retry: { attemptsMax: 100, backoff: [50] } },
  retry: { crashesMax: 1_000, backoff: [50] },
  concurrency: concurrency / 2,
});
await run(app, { lease: "5s" });
process.exit();
