import { checkEffects } from "./effects.ts";
import { checkFacts } from "./facts.ts";
import type { History, Violation } from "./history.ts";
import { checkLedger } from "./ledger.ts";

/** Applies the invariants to one history. An empty list says that none was seen broken. */
export function check(history: History): readonly Violation[] {
  return [...checkFacts(history), ...checkLedger(history), ...checkEffects(history), ...checkRest(history)];
}

/** I13: once faults stop, everything is worked off; nobody stays, nothing waits without a head, the doctor is content. */
function checkRest({ final }: History): readonly Violation[] {
  const found: Violation[] = [];
  const tell = (anomaly: string, detail: string): void => void found.push({ invariant: "I13", anomaly, detail });
  if (!final.drained) tell("not-drained", final.drainDetail);
  if (final.sessions > 0) tell("session-left", `${final.sessions} sessions are left when all have gone`);
  for (const finding of final.findings) tell("unwell", finding);
  for (const row of final.rows) {
    if (row.state !== "held") continue;
    const head = final.rows.some(
      (other) =>
        other.sub === row.sub &&
        other.key === row.key &&
        other.holds &&
        other.state !== "held" &&
        other.position < row.position,
    );
    if (!head) tell("held-without-head", `${row.sub} ${row.position} of key ${row.key}`);
  }
  return found;
}

/** A run counts only if it did work: whether at least half of what was tried succeeded. */
export function isVoid({ ops }: History): boolean {
  let tried = 0;
  let succeeded = 0;
  for (const op of ops) {
    if (op.op !== "publish" && op.op !== "deliver" && op.op !== "operate") continue;
    tried++;
    if (op.outcome === "ok") succeeded++;
  }
  return tried === 0 || succeeded * 2 < tried;
}
