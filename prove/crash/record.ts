import { readFileSync } from "node:fs";
import type { Deliver, Op, Publish } from "../../sim/checker/history.ts";
import { factOf } from "../facts.ts";
import { keys, runsPerLife } from "./plan.ts";

type Said =
  | { readonly try: number; readonly numbers: readonly number[] }
  | { readonly ack: number; readonly receipts: readonly (readonly [position: string, duplicate: boolean])[] }
  | { readonly no: number; readonly code: string };

/** After these nothing was stored; after any other, or none, nobody knows. */
const definite = new Set(["BUSY", "STORE_BUSY", "STORE_FULL", "CLOSED"]);

/** What publishers said, over all their lives. */
export class Publishes {
  readonly ops: Publish[] = [];
  readonly #name: string;
  readonly #open = new Map<number, { readonly op: Publish; readonly numbers: readonly number[] }>();
  /** The first number that was never stated. */
  next = 0;
  #life = 0;

  constructor(name: string) {
    this.#name = name;
  }

  hear(said: Said): void {
    if ("try" in said) this.#try(said.try, said.numbers);
    else if ("ack" in said) this.#answer(said.ack, "ok").receipts = said.receipts.map(toReceipt);
    else if ("no" in said) this.#answer(said.no, definite.has(said.code) ? "fail" : "unknown").code = said.code;
  }
  #try(call: number, numbers: readonly number[]): void {
    const events = numbers.map((n) => {
      const { type, data, attributes } = factOf(this.#name, n, keys);
      return { id: attributes.id ?? "", type, data: JSON.stringify(data) };
    });
    this.next = Math.max(this.next, ...numbers.map((n) => n + 1));
    const process = `${this.#name}.${this.#life}`;
    const op: Publish = { op: "publish", process, t: this.ops.length, events, outcome: "unknown" };
    this.ops.push(op);
    this.#open.set(call, { op, numbers });
  }
  #answer(call: number, outcome: Publish["outcome"]): Publish {
    const open = this.#open.get(call);
    if (open === undefined) throw new Error(`${this.#name}: an answer to ${call}, which was not tried`);
    this.#open.delete(call);
    open.op.outcome = outcome;
    return open.op;
  }

  /** The process is gone. The numbers whose fate nobody knows; a batch is not stated again, its parts would be. */
  died(): readonly number[] {
    const unknown = [...this.#open.values()].flatMap(({ numbers }) => (numbers.length === 1 ? numbers : []));
    this.#open.clear();
    this.#life++;
    return unknown;
  }
}

const toReceipt = ([position, duplicate]: readonly [string, boolean]): { position: number; duplicate: boolean } => ({
  position: Number(position),
  duplicate,
});

/** The runs and effects that handlers left in the witness file, in the order in which they happened. */
export function runsOf(witness: string, deadLives: ReadonlySet<number>): readonly Op[] {
  const ops: Op[] = [];
  const runs = new Map<number, Deliver>();
  const lines = readFileSync(witness, "utf8").split("\n");
  for (const [t, line] of lines.entries()) {
    if (line === "") continue;
    const [what, number, ...rest] = JSON.parse(line) as [string, number, ...unknown[]];
    const process = `life ${Math.floor(number / runsPerLife)}`;
    const run = runs.get(number);
    if (what === "run") {
      const op = { op: "deliver", process, t, run: number, ...delivery(rest), outcome: "unknown" } as const;
      ops.push(op);
      runs.set(number, op);
    } else if (run === undefined) throw new Error(`the witness tells of run ${number}, which was not begun`);
    else if (what === "effect") {
      ops.push({ op: "effect", process, t, run: number, sub: run.sub, id: run.id, key: String(rest[0]) });
    } else {
      run.outcome = what === "ok" ? "ok" : "fail";
      run.end = t;
    }
  }
  for (const run of runs.values()) {
    if (run.end === undefined && deadLives.has(Math.floor(run.run / runsPerLife))) run.died = true;
  }
  return ops;
}

function delivery(fields: readonly unknown[]): Pick<Deliver, "sub" | "id" | "type" | "key" | "position" | "attempt"> {
  const [sub, id, type, key, position, attempt] = fields as [string, string, string, string, string, number];
  return { sub, id, type, key, position: Number(position), attempt };
}
