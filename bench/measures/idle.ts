import { withBacklog } from "../backlog.ts";
import { Child } from "../child.ts";
import { inDirectory, type Measure } from "../measure.ts";

/** CPU of a worker process that has nothing to do, in hundredths of a core. */
export const idleMeasure: Measure = {
  name: "idle",
  run: (settings) =>
    inDirectory(async (path) => {
      await withBacklog(path("idle.db"), 1_000, async () => {});
      const worker = new Child("idle-worker.ts", [path("idle.db"), String(settings.size(10_000, 3_000))]);
      const value = await worker.hear<number>();
      await worker.ended();
      return [{ name: "idle", value, unit: "% of a core", raw: null, ratio: null, target: 1, better: "lower" }];
    }),
};
