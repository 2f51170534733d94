/** A worker of one version of the app: `worker.ts URL CHANGE VERSION`. Ends with SIGTERM. */
import { run } from "../../../src/index.ts";
import { appOf, type Change, type Version } from "../versions.ts";

const [url = "", change, version] = process.argv.slice(2);
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
await run(appOf(change as Change, Number(version) as Version), { url, lease: "1s", logger: silent });
