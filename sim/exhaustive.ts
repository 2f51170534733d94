import type { Violation } from "./checker/history.ts";
import type { StoreKind } from "./plan.ts";

export async function exhaust(_store: StoreKind): Promise<{ runs: number; violations: readonly Violation[] }> {
  return { runs: 0, violations: [] };
}
