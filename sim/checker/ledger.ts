import type { Deliver, History, Operate, Sample, SubState, Violation } from "./history.ts";

/** I5 and I8 to I12: what the ledger granted, took and counted. */
export function checkLedger(history: History): readonly Violation[] {
  return [
    ...fences(history),
    ...conservation(history),
    ...deadLetters(history),
    ...audits(history),
    ...bounds(history),
    ...overlaps(history),
  ];
}

/** I5: low never falls. I11, I12: only the holder's newest token settles. */
function fences(history: History): Violation[] {
  const found: Violation[] = [];
  const holders = new Map<string, { readonly session: number; readonly token: number }>();
  const tokens = new Map<string, number>();
  const lows = new Map<string, number>();
  for (const op of history.ops) {
    if (op.op === "grant") {
      for (const [slot, holder] of holders) if (holder.session === op.session) holders.delete(slot);
      for (const { slot, token } of op.held) {
        const newest = tokens.get(slot);
        if (newest !== undefined && token < newest) {
          found.push({ invariant: "I12", anomaly: "token-reused", detail: `slot ${slot}: ${token} after ${newest}` });
        }
        holders.set(slot, { session: op.session, token });
        tokens.set(slot, token);
      }
    }
    if (op.op !== "settle" || op.outcome !== "ok") continue;
    const holder = holders.get(op.slot);
    if (holder?.session !== op.session || holder.token !== op.token) {
      const detail = `${op.process} settled slot ${op.slot} with token ${op.token} of session ${op.session}; its holder is ${JSON.stringify(holder)}`;
      found.push({ invariant: "I11", anomaly: "stale-settle", detail });
    }
    const low = lows.get(op.slot) ?? 0;
    if (op.low < low) {
      const detail = `slot ${op.slot} fell from ${low} to ${op.low}`;
      found.push({ invariant: "I5", anomaly: "nonmonotonic-commit", detail });
    }
    lows.set(op.slot, op.low);
  }
  return found;
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/** I8: matched = closed + rows at every commit; in the end all that was appended is matched. */
function conservation(history: History): Violation[] {
  const found: Violation[] = [];
  const lost = (detail: string): void => void found.push({ invariant: "I8", anomaly: "not-conserved", detail });
  const checkOne = (sub: SubState, when: string): void => {
    const [closed, rows] = [total(sub.outcomes), total(sub.rows)];
    if (sub.matched !== closed + rows) {
      lost(`${sub.name} ${when}: ${sub.matched} matched, ${closed} closed, ${rows} rows`);
    }
  };
  for (const op of history.ops) if (op.op === "sample") for (const sub of op.subs) checkOne(sub, `at ${op.t}`);
  for (const sub of history.final.subs) {
    checkOne(sub, "in the end");
    if (!history.final.drained || !history.dedupes) continue;
    for (const type of sub.types.filter((each) => each.wanted)) {
      const appended = history.final.events.filter((event) => event.type === type.type).length;
      if (appended - type.baseline !== type.matched) {
        lost(`${sub.name}: ${appended} ${type.type} appended, ${type.baseline} before it, ${type.matched} matched`);
      }
    }
  }
  return [...found, ...discards(history)];
}
function discards(history: History): Violation[] {
  const found: Violation[] = [];
  for (const sub of history.final.subs) {
    const acts = operations(history).filter((op) => op.sub === sub.name && op.act === "discard");
    const sure = acts.filter((op) => op.outcome === "ok").length;
    const possible = acts.filter((op) => op.outcome !== "fail").length;
    if (sub.outcomes.discarded < sure || sub.outcomes.discarded > possible) {
      const detail = `${sub.name}: ${sub.outcomes.discarded} discarded, operators discarded ${sure} to ${possible}`;
      found.push({ invariant: "I8", anomaly: "not-conserved", detail });
    }
  }
  return found;
}

const operations = (history: History): readonly Operate[] =>
  history.ops.filter((op): op is Operate => op.op === "operate");

/** I9: a dead letter leaves only by redrive or discard. */
function deadLetters(history: History): Violation[] {
  const found: Violation[] = [];
  const samples = history.ops.filter((op): op is Sample => op.op === "sample");
  const touched = new Set<string>();
  const acts = operations(history).filter((op) => op.outcome !== "fail");
  const nameOf = (one: { readonly sub: string; readonly position: number }): string => `${one.sub} ${one.position}`;
  let at = 0;
  const end = { t: Number.POSITIVE_INFINITY, dead: history.final.rows.filter((row) => row.state === "dead") };
  let before: readonly { readonly sub: string; readonly position: number }[] = [];
  for (const { t, dead } of [...samples, end]) {
    for (; at < acts.length && (acts[at] as Operate).t <= t; at++) touched.add(nameOf(acts[at] as Operate));
    const now = new Set(dead.map(nameOf));
    for (const one of before) {
      if (now.has(nameOf(one)) || touched.has(nameOf(one))) continue;
      found.push({ invariant: "I9", anomaly: "dead-letter-lost", detail: `${nameOf(one)} was dead before ${t}` });
    }
    before = dead;
  }
  return found;
}

/** I9: every act of an operator that took place is a fact, and no other is. */
function audits(history: History): Violation[] {
  const found: Violation[] = [];
  for (const [act, type] of [
    ["redrive", "factlog.operator.redriven"],
    ["discard", "factlog.operator.discarded"],
  ] as const) {
    const acts = operations(history).filter((op) => op.act === act);
    const sure = acts.filter((op) => op.outcome === "ok").length;
    const possible = acts.filter((op) => op.outcome !== "fail").length;
    const ids = new Set(history.final.events.filter((event) => event.type === type).map((event) => event.id));
    if (ids.size >= sure && ids.size <= possible) continue;
    const detail = `${ids.size} events ${type} for ${sure} to ${possible} acts`;
    found.push({ invariant: "I9", anomaly: "unaudited", detail });
  }
  return found;
}

/** I10: attempts and crashes stay within their limits, and a retry is not forgotten. */
function bounds(history: History): Violation[] {
  const found: Violation[] = [];
  const plans = new Map(history.plan.map((sub) => [sub.name, sub]));
  for (const row of history.final.rows) {
    const plan = plans.get(row.sub);
    if (plan === undefined || (row.failures <= plan.attemptsMax && row.crashes <= plan.crashesMax)) continue;
    const detail = `${row.sub} ${row.position}: ${row.failures} failures, ${row.crashes} crashes`;
    found.push({ invariant: "I10", anomaly: "too-many-attempts", detail });
  }
  const runs = new Map<string, Deliver[]>();
  for (const op of history.ops) {
    if (op.op !== "deliver") continue;
    const plan = plans.get(op.sub);
    if (plan !== undefined && op.attempt > plan.attemptsMax) {
      found.push({
        invariant: "I10",
        anomaly: "too-many-attempts",
        detail: `${op.sub} ${op.id}: attempt ${op.attempt}`,
      });
    }
    const name = `${op.sub} ${op.position} ${op.id}`;
    runs.set(name, [...(runs.get(name) ?? []), op]);
  }
  const redrives = operations(history).filter((op) => op.act === "redrive" && op.outcome !== "fail");
  for (const [name, list] of runs) {
    const { sub, id, position } = list[0] as Deliver;
    const redriven = redrives.filter((op) => op.sub === sub && op.position === position);
    if (!history.zombies && !history.refunds && redriven.length === 0) found.push(...forgotten(name, list));
    const died = list.filter((run) => run.died === true).length;
    // What runs for the first time has no row to charge; a newer definition frees slots whose holders may still run something.
    const uncharged = history.redefined ? 2 : 1;
    const deathsMax = (plans.get(sub)?.crashesMax ?? 0) * (1 + redriven.length) + uncharged;
    if (history.killers.has(id) && died > deathsMax) {
      found.push({ invariant: "I10", anomaly: "crash-not-charged", detail: `${name} killed ${died} processes` });
    }
  }
  return found;
}
function forgotten(name: string, runs: readonly Deliver[]): Violation[] {
  return runs.flatMap((run, i) => {
    const earlier = runs[i - 1];
    if (earlier === undefined || run.attempt >= earlier.attempt) return [];
    const detail = `${name}: attempt ${run.attempt} after attempt ${earlier.attempt}`;
    return [{ invariant: "I10", anomaly: "retry-forgotten", detail }];
  });
}

/** I12: of one key, a process never runs two handlers at once that both still count. */
function overlaps(history: History): Violation[] {
  const found: Violation[] = [];
  const orders = new Map(history.plan.map((sub) => [sub.name, sub.order]));
  const running = new Map<string, Deliver>();
  for (const op of history.ops) {
    if (op.op !== "deliver") continue;
    const order = orders.get(op.sub);
    if (order === "none" || (order === "key" && op.key === undefined)) continue;
    const lane = `${op.process} ${op.sub} ${order === "log" ? "" : op.key}`;
    const other = running.get(lane);
    running.set(lane, op);
    if (other === undefined || other.died === true) continue;
    const overAt = Math.min(other.end ?? Number.POSITIVE_INFINITY, other.abortedAt ?? Number.POSITIVE_INFINITY);
    if (overAt <= op.t) continue;
    const detail = `${lane}: ${op.id} began while ${other.id} ran`;
    found.push({ invariant: "I12", anomaly: "overlap", detail });
  }
  return found;
}
