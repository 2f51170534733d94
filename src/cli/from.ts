import type { From } from "../app/subscription.ts";
import { FactlogError } from "../errors.ts";
import { formatPosition, isPosition } from "../event/position.ts";
import type { OpenedLog } from "./open.ts";

export const fromHelp =
  "beginning, now, a time (2026-11-23T06:15:00Z), or a position (from an event, or its plain number): after it";

/** What `--from` says. Throws INVALID_OPTION. */
export function fromOf(text: string, { store }: OpenedLog): From {
  if (text === "beginning" || text === "now" || isPosition(text)) return text;
  if (/^\d{1,15}$/u.test(text)) {
    if (store.engine.log.capabilities.totalOrder) return formatPosition(store.engine.log.epoch, 0, Number(text));
    throw new FactlogError(
      "INVALID_OPTION",
      "this log has no order between slots: give a position as an event shows it, not its number.",
    );
  }
  const time = new Date(text);
  if (/^\d{4}-/u.test(text) && !Number.isNaN(time.getTime())) return time;
  throw new FactlogError("INVALID_OPTION", `--from ${JSON.stringify(text)}: give ${fromHelp}.`);
}
