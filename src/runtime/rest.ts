import type { Runner } from "./runner.ts";

/** Nothing read waits and nothing runs; progress may still be owed. What waits for a limit over all processes is at rest. */
export function idleButProgress(runner: Runner): boolean {
  if (runner.working > 0 || runner.gathered > 0) return false;
  if (runner.halted || runner.outage.stands || runner.allowances.stand) return true;
  return runner.lanes.waiting === 0 && runner.due.active === 0 && runner.deferrals.idle;
}
/** Nothing read waits, nothing runs, nothing is owed. */
export function idle(runner: Runner): boolean {
  if (!idleButProgress(runner)) return false;
  for (const slot of runner.slots.values()) if (!slot.atRest) return false;
  return true;
}
/** Looks once more: whether nothing new was appended and no row is due. */
export async function quiet(runner: Runner): Promise<boolean> {
  if (runner.halted || runner.outage.stands) return true;
  if (runner.isFull && runner.allowances.stand) return idle(runner);
  if ((await runner.reader.read()) > 0 || !runner.reader.atHead) return false;
  await runner.due.lookNow();
  await runner.deferrals.lookNow();
  return idle(runner);
}
/** What waits here waits for a limit. */
export const isLimited = (runner: Runner): boolean =>
  runner.lanes.waiting > 0 && !runner.halted && runner.allowances.stand;
