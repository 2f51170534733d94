/** The summary for people. */
import type { DrillSummary } from "./drill-summary.ts";
import { n } from "./narrator.ts";
import type { Summary } from "./summary.ts";

export function textOf(summary: Summary | DrillSummary): string {
  const { expected } = summary;
  return `
                        happened   should have
  purchases    ${right(n(summary.purchases))} ${right(n(expected.purchases))}
  CDs          ${right(n(summary.cds))} ${right(n(expected.cds))}
  dollars      ${right(money(summary.cents))} ${right(money(expected.cents))}

  events           ${right(n(summary.events))}   facts in the log
  deliveries       ${right(n(summary.deliveries))}   closed, over all subscriptions
  distinctEffects  ${right(n(summary.distinctEffects))}   asked of the receiver, each under a key of its own
  repeatedCalls    ${right(n(summary.repeatedCalls))}   under a key that it knew already
  dailyTotals      ${right(n(summary.dailyTotals))}   days in the sales projection${summary.dailyTotalsExact ? ", all as in the input" : ", AND NOT AS IN THE INPUT"}
  lost             ${right(n(summary.lost))}   effects that a purchase should have had
  duplicateEffects ${right(n(summary.duplicateEffects))}   effects that a purchase had twice
  orderViolations  ${right(n(summary.orderViolations))}   effects of a key out of the order of its facts
  dead             ${right(n(summary.dead))}   dead letters
  conservation     ${right(summary.conservation ? "holds" : "BROKEN")}   every fact is accounted for
${"kills" in summary ? ofDrill(summary) : ""}
  ${summary.ok ? "ok" : `NOT OK: ${summary.faults.join("; ")}`} after ${summary.seconds} s`;
}

function ofDrill({
  kills,
  shareByPid,
  maxKeysInFlight,
  poison,
  forecast,
  salesGeneration,
  ...outage
}: DrillSummary): string {
  const shares = Object.entries(shareByPid).map(([pid, share]) => `${pid} ${Math.round(share * 100)}%`);
  return `
  kills            ${right(n(kills.length))}   ${kills.map((kill) => `${kill.role} (${kill.pid}): ${kill.redelivered} calls made again by others`).join(", ")}
  shareByPid                   ${shares.join(", ")} of the calls
  maxKeysInFlight  ${right(n(maxKeysInFlight))}   customers served at one moment
  poison           ${right(n(poison.dead))}   dead letters, ${n(poison.redriven)} redriven
  deadFromOutage   ${right(n(outage.deadFromOutage))}   orders that died of an hour without a depot; ${n(outage.attemptsBurnt)} attempts lost
  salesGeneration  ${right(n(salesGeneration))}   of the sales projection's tables: rebuilt while orders came in
  forecast         ${right(n(forecast.facts))}   facts seen, ${n(forecast.distinct)} different ones${forecast.same ? ", the same as in the log" : ""}
`;
}

const right = (text: string): string => text.padStart(13);
const money = (cents: number): string => `${n(Math.trunc(cents / 100))}.${String(cents % 100).padStart(2, "0")}`;
