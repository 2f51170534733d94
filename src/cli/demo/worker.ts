/** The warehouse's own process in the demo. */
import { run } from "../../runtime/run.ts";
import { shop, type ShopOptions } from "./shop.ts";

const { url, ...options } = JSON.parse(process.argv[2] ?? "{}") as ShopOptions & { readonly url: string };
const silent = (): void => {};
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
await run(shop(options), {
  url,
  only: ["warehouse"],
  grace: "2s",
  logger: { debug: silent, info: silent, warn: silent, error: silent },
});
process.exit();
