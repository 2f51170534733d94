import type { Position } from "../src/event/position.ts";
import type { Log } from "../src/runtime/log.ts";
import type { Followed } from "./checker/history.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";

/** A client that watches the whole log, and goes on where it was after each trouble. */
export function follow(scene: Scene, process: Process, log: Log): void {
  if (!scene.raw.log.capabilities.totalOrder) return;
  void goOn(scene, process, log, undefined);
}

async function goOn(scene: Scene, process: Process, log: Log, from: Position | undefined): Promise<void> {
  let last = from;
  const after = last === undefined ? 0 : Number(last.split(".").at(-1));
  const op: Followed = { op: "follow", process: process.name, t: scene.t, after, positions: [] };
  scene.ops.push(op);
  try {
    for await (const frame of log.follow({ from: last ?? "beginning" })) {
      if (process.gone) return;
      if (frame.kind !== "event") continue;
      last = frame.event.position;
      op.positions.push(Number(last.split(".").at(-1)));
    }
  } catch {
    if (process.gone || process.leaving) return;
    await process.sleep(200);
    await goOn(scene, process, log, last);
  }
}
