/** The 2 AM story, played with real processes: what breaks, what goes on meanwhile, and how it is mended. */
import shop from "./app.ts";
import type { Child } from "./crew.ts";
import forecast from "./forecast.ts";
import { type Input, InputError } from "./input.ts";
import { n, type Narrator } from "./narrator.ts";
import type { Outage } from "./outage.ts";
import { PublisherProcess } from "./publisher-process.ts";
import type { Stage } from "./stage.ts";

/** With fewer, not everybody would have something to do in each chapter. */
const purchasesMin = 300;
/** The depot refuses orders of more CDs than this, until somebody mends it. */
const cdsPerParcel = 10;
/** Where the chapters end, as parts of the input. The rest comes while the forecast catches up. */
const parts = { opening: 0.03, warehouseDown: 0.1, killing: 0.04, history: 0.9 } as const;
/** Orders placed around a kill, at most: what a killed process may have been doing is repeated one by one. */
const ordersPerKillMax = 500;

/** Two processes share the work of the shop, one is the warehouse. */
export const roles = {
  "worker-1": ["payment", "shipping", "notification", "loyalty", "sales", "expiry"],
  "worker-2": ["payment", "shipping", "notification", "loyalty", "sales", "expiry"],
  warehouse: ["warehouse"],
} as const;
export type Role = keyof typeof roles;

export interface Kill {
  readonly role: Role;
  readonly pid: number;
}
/** What the drill did. What came of it is in the evidence. */
export interface Story {
  readonly kills: readonly Kill[];
  /** Orders published for the second time. */
  readonly publishedAgain: number;
  /** Orders that the warehouse was behind when it came back. */
  readonly backlog: number;
  readonly poison: { readonly expected: number; readonly dead: number; readonly redriven: number };
  readonly outage: Outage;
}

/** Throws InputError where the input is too small for the story. */
export function requireEnough({ path, purchases }: Input): void {
  const history = purchases.slice(0, Math.floor(purchases.length * parts.history));
  if (purchases.length >= purchasesMin && history.some((purchase) => purchase.cds > cdsPerParcel)) return;
  const needs = `${purchasesMin} purchases, and an early one of more than ${cdsPerParcel} CDs`;
  throw new InputError(`the drill needs ${needs}: ${path} has too little`);
}

export class Drill {
  readonly #stage: Stage;
  readonly #input: Input;
  readonly #say: (text: string) => void;
  readonly #publishers: readonly PublisherProcess[];
  readonly #workers = new Map<Role, Child>();
  readonly #kills: Kill[] = [];
  #placed = 0;
  #publishedAgain = 0;

  constructor(stage: Stage, input: Input, narrator: Narrator) {
    const { path, purchases } = input;
    this.#stage = stage;
    this.#input = input;
    this.#say = (text) => narrator.say(text);
    this.#publishers = ["web-1", "web-2"].map((role) => new PublisherProcess(stage.crew, role, path, stage.signal));
    stage.receiver.watch((counts) => narrator.progress(counts, purchases.length));
  }

  async play(): Promise<Story> {
    await this.#open();
    const backlog = await this.#stopTheWarehouse();
    this.#say("workers are killed with SIGKILL, each in the middle of a call:");
    for (const role of ["warehouse", "worker-1", "worker-2"] as const) await this.#kill(role);
    await this.#finishTheHistory();
    const poison = await this.#mendThePoison();
    const outage = await this.#loseTheDepot();
    await this.#attachTheForecast();
    return { kills: this.#kills, publishedAgain: this.#publishedAgain, backlog, poison, outage };
  }

  async #open(): Promise<void> {
    this.#stage.receiver.takeParcelsOf(cdsPerParcel);
    for (const role of Object.keys(roles) as Role[]) this.#start(role);
    await this.#shared();
    const processes = [...this.#workers].map(([role, { pid }]) => `${role} (${pid})`).join(", ");
    this.#say(`the shop is open: ${processes}; and two web servers, each of which publishes every order`);
    await this.#publishTo(parts.opening);
    await this.#stage.receiver.served("reserve", Math.floor(this.#placed / 2));
  }

  async #stopTheWarehouse(): Promise<number> {
    const { receiver } = this.#stage;
    await this.#workers.get("warehouse")?.end();
    this.#say("02:00  the warehouse is down; customers go on buying");
    await this.#publishTo(parts.warehouseDown);
    await receiver.served("charge", this.#placed);
    const { pending } = await this.#stage.statusOf("warehouse");
    this.#say(`       ${n(receiver.counts.charge)} orders are charged, ${n(pending)} wait for the warehouse`);
    this.#start("warehouse");
    await this.#stage.settled(["warehouse"]);
    this.#say("03:00  the warehouse is back, went on where it had stopped, and has caught up");
    return pending;
  }

  /** Kills the process while it waits for the answer to a call, with orders coming in. */
  async #kill(role: Role): Promise<void> {
    const orders = Math.min(this.#input.purchases.length * parts.killing, ordersPerKillMax);
    const victim = this.#workers.get(role);
    if (victim === undefined) throw new Error(`${role} does not run`);
    const killed = this.#stage.receiver.hold(victim.pid, 3).then(async (call) => {
      await victim.end("SIGKILL");
      this.#kills.push({ role, pid: victim.pid });
      const { pid } = this.#start(role);
      this.#say(`       ${role} (${victim.pid}) died in "${call.effect} ${call.orderId}"; (${pid}) takes its place`);
    });
    await Promise.all([killed, this.#publishUpTo(this.#placed + Math.floor(orders))]);
    await this.#stage.settled(shop.subscriptionNames);
    await this.#shared();
  }

  async #finishTheHistory(): Promise<void> {
    await this.#publishTo(parts.history);
    await this.#stage.settled(shop.subscriptionNames);
    this.#say(`${n(this.#placed)} orders are placed; ${n(this.#publishedAgain)} more were the same once again`);
  }

  /** The depot refuses large orders: each stops its own customer's orders in the warehouse, and nothing else. */
  async #mendThePoison(): Promise<Story["poison"]> {
    const { operator } = this.#stage.log;
    const large = this.#input.purchases.slice(0, this.#placed).filter((purchase) => purchase.cds > cdsPerParcel);
    const letters = await Array.fromAsync(operator.deadLetters({ subscription: "warehouse" }));
    const { held } = await this.#stage.statusOf("warehouse");
    this.#say(`dead letters in the warehouse: ${n(letters.length)}; waiting behind them: ${n(held)}; all else went on`);
    this.#say(`       ${letters[0]?.eventId}: ${letters[0]?.attempts.at(-1)?.error.split("\n")[0]}`);
    this.#stage.receiver.takeParcelsOf(null);
    const { redriven } = await operator.redrive({ subscription: "warehouse" }, { confirm: letters.length });
    await this.#stage.settled(shop.subscriptionNames);
    this.#say("       the depot is mended, the dead letters are redriven, and what waited has followed in order");
    return { expected: new Set(large.map((purchase) => purchase.customerId)).size, dead: letters.length, redriven };
  }

  /** Beside the others, on a clock of its own: an hour in which the depot answers nothing but errors. */
  async #loseTheDepot(): Promise<Outage> {
    const night = this.#stage.crew.start("night", "outage.ts");
    const outage = await this.#stage.heard<Outage>(night);
    await night.end("SIGKILL");
    this.#say(
      `for an hour the depot answers errors: it was asked ${n(outage.calls)} times for ${n(outage.orders)} orders`,
    );
    this.#say(
      `       ${n(outage.attemptsBurnt)} attempts are lost, ${n(outage.deadFromOutage)} orders are dead; all were reserved when it was back`,
    );
    return outage;
  }

  async #attachTheForecast(): Promise<void> {
    this.#say(`another team attaches a forecast to the history, while customers go on buying`);
    this.#stage.crew.start("forecast", "worker.ts", ["--app", "forecast"]);
    const generation = await this.#stage.log.operator.rebuild("sales");
    await this.#publishTo(1);
    await this.#stage.shows("sales", generation);
    await this.#stage.settled([...shop.subscriptionNames, ...forecast.subscriptionNames]);
    this.#say(`       and the sales were added up anew beside those that were shown; now the new tables are`);
    this.#say(`       the forecast has seen all ${n(this.#placed)} orders; the shop has not noticed`);
  }

  #start(role: Role): Child {
    const child = this.#stage.crew.start(role, "worker.ts", ["--lease", "2s", ...roles[role]]);
    this.#workers.set(role, child);
    return child;
  }
  /** Resolves when everybody has a share of the work again. */
  async #shared(): Promise<void> {
    await Promise.all(shop.subscriptionNames.map((name) => this.#stage.shared(name, name === "warehouse" ? 1 : 2)));
  }
  #publishTo(part: number): Promise<void> {
    return this.#publishUpTo(Math.floor(this.#input.purchases.length * part));
  }
  /** Both web servers send the purchases up to this one. Resolves when all are durable. */
  async #publishUpTo(to: number): Promise<void> {
    const from = this.#placed;
    this.#placed = to;
    const placed = await Promise.all(this.#publishers.map((publisher) => publisher.place({ from, to })));
    this.#publishedAgain += placed.reduce((sum, { repeated }) => sum + repeated, 0);
  }
}
