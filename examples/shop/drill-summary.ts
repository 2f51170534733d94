/** What the drill adds to the summary. */
import type { Call } from "./calls.ts";
import { type Kill, roles, type Story } from "./drill.ts";
import type { Evidence } from "./evidence.ts";
import type { Summary } from "./summary.ts";

/** Calls that a process may have in flight for each of its subscriptions: the default. */
const concurrency = 16;
/** A call is made again only where its caller was killed before it could settle. */
export const repeatedCallsMax = ({ kills }: Story): number =>
  kills.reduce((sum, { role }) => sum + roles[role].length * concurrency, 0);

export interface DrillSummary extends Summary {
  /** `redelivered`: calls of the killed process that were made again by another. */
  readonly kills: readonly (Kill & { readonly redelivered: number })[];
  readonly publishedAgain: number;
  readonly backlog: number;
  /** The part of all calls that each process made. */
  readonly shareByPid: Readonly<Record<string, number>>;
  /** Customers whose orders were being served at one moment: each is a key. */
  readonly maxKeysInFlight: number;
  readonly poison: Story["poison"];
  /** An hour without a depot, in virtual time: orders that died of it, and attempts that it cost. */
  readonly deadFromOutage: number;
  readonly attemptsBurnt: number;
  /** How often the tables of the sales projection were made. */
  readonly salesGeneration: number;
  readonly forecast: { readonly facts: number; readonly distinct: number; readonly same: boolean };
}

export function withStory(summary: Summary, story: Story, { calls, tables, sales, orders }: Evidence): DrillSummary {
  const seen = tables.forecast.map((row) => row.eventId);
  const inLog = new Set(orders);
  const kills = story.kills.map((kill) => ({ ...kill, redelivered: redelivered(kill.pid, calls) }));
  const shareByPid = shares(calls);
  const maxKeysInFlight = calls.reduce((most, call) => Math.max(most, call.together), 0);
  const forecast = {
    facts: seen.length,
    distinct: new Set(seen).size,
    same: seen.length === orders.length && new Set(seen).size === inLog.size && seen.every((id) => inLog.has(id)),
  };
  const { poison, outage } = story;
  const claims: readonly (readonly [boolean, string])[] = [
    [kills.length >= 3 && kills.every((kill) => kill.redelivered >= 1), "a kill interrupted nothing"],
    [story.publishedAgain === orders.length, `${story.publishedAgain} of ${orders.length} orders were published twice`],
    [story.backlog > 0, "the warehouse had nothing to catch up with"],
    [
      Object.values(shareByPid).filter((share) => share >= 0.2).length >= 2,
      "no two processes did a fifth of the work each",
    ],
    [maxKeysInFlight >= 4, `only ${maxKeysInFlight} keys were served at a time`],
    [
      poison.dead === poison.expected && poison.redriven === poison.dead,
      `${poison.dead} of ${poison.expected} poison orders died, ${poison.redriven} were redriven`,
    ],
    [
      outage.deadFromOutage === 0 && outage.attemptsBurnt === 0 && outage.calls > 0,
      `an hour without a depot: ${outage.deadFromOutage} orders died, ${outage.attemptsBurnt} attempts were lost`,
    ],
    [
      outage.reserved === outage.orders && outage.outOfOrder === 0,
      `of ${outage.orders} orders ${outage.reserved} were reserved when the depot was back, ${outage.outOfOrder} out of order`,
    ],
    [sales.generation === 2, `the sales are of generation ${sales.generation}`],
    [
      forecast.same,
      `the forecast saw ${forecast.facts} facts, ${forecast.distinct} different ones, of ${orders.length}`,
    ],
  ];
  const faults = [...summary.faults, ...claims.filter(([holds]) => !holds).map(([, fault]) => fault)];
  const more = {
    kills,
    publishedAgain: story.publishedAgain,
    backlog: story.backlog,
    shareByPid,
    maxKeysInFlight,
    poison,
    deadFromOutage: outage.deadFromOutage,
    attemptsBurnt: outage.attemptsBurnt,
    salesGeneration: sales.generation,
    forecast,
  };
  return { ...summary, ...more, ok: faults.length === 0, faults };
}

function redelivered(pid: number, calls: readonly Call[]): number {
  const made = new Set<string>();
  const again = new Set<string>();
  for (const call of calls) {
    if (call.pid === pid) made.add(call.key);
    else if (made.has(call.key)) again.add(call.key);
  }
  return again.size;
}

function shares(calls: readonly Call[]): Readonly<Record<string, number>> {
  const counts = new Map<number, number>();
  for (const { pid } of calls) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return Object.fromEntries([...counts].map(([pid, count]) => [pid, Math.round((count / calls.length) * 1000) / 1000]));
}
