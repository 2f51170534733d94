/** A subscription that is degraded, as the register keeps it beside what operators have paused. */
export interface OutageState {
  /** Times are wall clock. */
  readonly sinceMs: number;
  /** First line of what was thrown when it began. */
  readonly error: string;
  /** Begun so far. */
  readonly probes: number;
  /** For people: clocks differ, so that each process waits from when it has seen this. */
  readonly nextMs: number;
  /** A probe is under way. */
  readonly busy: boolean;
}
/** It is not degraded: failures since `done` deliveries were done, by session. */
export interface Counted {
  readonly done: number;
  readonly points: Readonly<Record<string, number>>;
}

export const outageKind = "pause";
export const outageName = (sub: number): string => `${sub}!outage`;
export const isOn = (known: OutageState | Counted | undefined): known is OutageState =>
  known !== undefined && "sinceMs" in known;

/** What it is told by that it has moved on. */
export const versionOf = ({ sinceMs, probes, busy }: OutageState): string => `${sinceMs} ${probes} ${busy}`;

export function storedOutage(sub: number, outage: OutageState | Counted): string {
  return JSON.stringify({ sub, outage });
}
/** What an entry says; undefined where there is none. */
export function readOutage(body: string | undefined): OutageState | Counted | undefined {
  return body === undefined ? undefined : (JSON.parse(body) as { readonly outage: OutageState | Counted }).outage;
}
