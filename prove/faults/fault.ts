import type { Random } from "../../sim/random.ts";

/** What one kind of fault left: its figures, and what was wrong in words. */
export interface FaultReport {
  readonly figures: Readonly<Record<string, number | string>>;
  readonly wrong: readonly string[];
}
/** One kind of fault. `times`: how often it is done. */
export interface Fault {
  readonly name: string;
  readonly ci: number;
  readonly release: number;
  run(times: number, random: Random): Promise<FaultReport>;
}
