import type { Engine } from "../engine/engine.ts";
import type { DeliveryRef, DeliveryRow } from "../engine/ledger.ts";
import type { Entry } from "../engine/register.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { rowsIn } from "./delivery-rows.ts";

/** One dead letter as it was chosen: good while its row is dead and carries this token. */
export interface Chosen extends DeliveryRef {
  readonly rowToken: number;
}
/** What is kept of a job. What it has done is not: the rows it chose say so. */
export interface StoredJob {
  readonly state: "running" | "done" | "cancelled";
  readonly total: number;
  readonly subs: readonly number[];
  readonly createdMs: number;
  readonly endedMs?: number;
  /** Of one that was cancelled: chosen and never delivered again. */
  readonly left?: number;
  readonly ratePerSecond?: number;
  readonly fresh?: boolean;
}
export interface KeptJob {
  readonly id: string;
  readonly body: string;
  readonly stored: StoredJob;
}

const kind = "redrive";
/** Its frozen selection, in pieces. */
const piecesOf = (id: string): string => `redrive ${id}`;

/** Redrive jobs as they are kept: entries of the register. */
export class RedriveJobs {
  readonly #engine: Engine;
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Oldest first. */
  async all(): Promise<readonly KeptJob[]> {
    return (await this.#engine.ledger.entries(kind))
      .map(({ name, body }) => ({ id: name, body, stored: JSON.parse(body) as StoredJob }))
      .toSorted((a, b) => a.stored.createdMs - b.stored.createdMs);
  }
  async find(id: string): Promise<KeptJob> {
    const found = (await this.all()).find((job) => job.id === id);
    if (found !== undefined) return found;
    throw new FactlogError("NOT_FOUND", `there is no redrive job ${JSON.stringify(id)}: see \`factlog dead jobs\`.`);
  }
  /** The job stands from the moment its own entry does: with `event`. */
  async add(id: string, stored: StoredJob, chosen: readonly Chosen[], event: EncodedEvent): Promise<void> {
    const { ledger } = this.#engine;
    for (const [i, body] of pieces(chosen).entries())
      await ledger.enter({ kind: piecesOf(id), name: String(i).padStart(6, "0"), seen: undefined, body, events: [] });
    await ledger.enter({ kind, name: id, seen: undefined, body: JSON.stringify(stored), events: [event] });
  }
  async #chosen(id: string): Promise<readonly Chosen[]> {
    return (await this.#engine.ledger.entries(piecesOf(id))).flatMap(({ body }) => chosenIn(body));
  }
  /** False where it has moved meanwhile. Once what is left of it is counted its selection goes: it is needed no longer. */
  async end(
    job: KeptJob,
    end: { readonly state: "done" | "cancelled"; readonly endedMs: number },
    event: EncodedEvent,
    leftOf: () => Promise<number> = () => Promise.resolve(0),
  ): Promise<boolean> {
    const body = JSON.stringify({ ...job.stored, ...end });
    const { ledger } = this.#engine;
    if (!(await ledger.enter({ kind, name: job.id, seen: job.body, body, events: [event] }))) return false;
    const left = await leftOf();
    const counted = JSON.stringify({ ...job.stored, ...end, left });
    await ledger.enter({ kind, name: job.id, seen: body, body: counted, events: [] });
    await this.#clear(await ledger.entries(piecesOf(job.id)), piecesOf(job.id));
    return true;
  }
  /** So that jobs do not pile up: the oldest that have ended go. */
  async forgetOld(): Promise<void> {
    const ended = (await this.all()).filter(({ stored }) => stored.state !== "running");
    const old = ended.slice(0, Math.max(0, ended.length - limits.redriveJobsKept));
    const gone = old.map(({ id, body }) => ({ name: id, body }));
    await this.#clear(gone, kind);
  }
  async #clear(entries: readonly Entry[], of: string): Promise<void> {
    for (const { name, body } of entries)
      await this.#engine.ledger.enter({ kind: of, name, seen: body, body: undefined, events: [] });
  }

  /** Those of a subscription that a job chose and that are not over: to be delivered again yet, or underway. */
  async *open(
    id: string,
    sub: number,
  ): AsyncGenerator<{ readonly row: DeliveryRow; readonly is: "left" | "underway" }> {
    const { ledger } = this.#engine;
    const chosen = new Map((await this.#chosen(id)).map((each) => [chosenKey(each), each.rowToken]));
    // In this order: what is delivered again meanwhile is seen twice, and never not at all.
    for await (const row of rowsIn(ledger, sub, "dead"))
      if (chosen.get(chosenKey(row)) === row.rowToken) yield { row, is: "left" };
    for (const state of ["ready", "running", "retrying", "deferred"] as const)
      for await (const row of rowsIn(ledger, sub, state)) if (chosen.has(chosenKey(row))) yield { row, is: "underway" };
  }
  /** Whether it has chosen one of these. */
  async hasChosen(id: string, rows: readonly DeliveryRow[]): Promise<boolean> {
    const wanted = new Map(rows.map((row) => [chosenKey(row), row.rowToken]));
    return (await this.#chosen(id)).some((each) => wanted.get(chosenKey(each)) === each.rowToken);
  }
}

export const chosenKey = ({ sub, gen, slot, position }: DeliveryRef): string => `${sub}.${gen}.${slot}.${position}`;

function pieces(chosen: readonly Chosen[]): readonly string[] {
  const made: string[] = [];
  let piece = "";
  for (const each of chosen) {
    const text = `${chosenKey(each)}.${each.rowToken}`;
    if (piece.length + text.length + 1 > limits.entryBytesMax) {
      made.push(piece);
      piece = "";
    }
    piece += piece === "" ? text : ` ${text}`;
  }
  return [...made, piece];
}
function chosenIn(piece: string): readonly Chosen[] {
  return piece.split(" ").map((text) => {
    const [sub = 0, gen = 0, slot = 0, position = 0, rowToken = 0] = text.split(".").map(Number);
    return { sub, gen, slot, position, rowToken };
  });
}
