/** The 2 AM story, played with real processes: what breaks, what goes on meanwhile, and how it is mended. */
import { shop } from "./app.ts";
import type { Child } from "./crew.ts";
import { forecast } from "./forecast.ts";
import { type Input, InputError } from "./input.ts";
import { n, type Narrator } from "./narrator.ts";
import { PublisherProcess } from "./publisher-process.ts";
import type { Stage } from "./stage.ts";

/** With fewer, not everybody would have something to do in each chapter. */
const purchasesMin = 300;
/** The depot refuses orders of more CDs than this, until somebody mends it. */
const cdsPerParcel = 10;

/** The processes that are killed, and what they work on: two share the shop, the warehouse has its own. */
const workers: Readonly<Record<string, readonly string[]>> = {
  "worker-1": ["payment", "shipping", "notification", "loyalty"],
  "worker-2": ["payment", "shipping", "notification", "loyalty"],
  warehouse: ["warehouse"],
};

export interface Kill {
  readonly role: string;
  readonly pid: number;
}
/** What the drill did; what came of it is in the evidence. */
export interface Story {
  readonly kills: readonly Kill[];
  /** Orders published for the second time. */
  readonly publishedAgain: number;
  /** Orders that the warehouse was behind when it came back. */
  readonly backlog: number;
  readonly poison: { readonly expected: number; readonly dead: number; readonly redriven: number };
}

export class Drill {
  readonly #stage: Stage;
  readonly #input: Input;
  readonly #say: (text: string) => void;
  readonly #publishers: readonly PublisherProcess[];
  readonly #crew = new Map<string, Child>();
  readonly #kills: Kill[] = [];
  #placed = 0;
  #publishedAgain = 0;

  /** Throws InputError where the input is too small for the story. */
  constructor(stage: Stage, input: Input, narrator: Narrator) {
    const poison = input.purchases.some((purchase) => purchase.cds > cdsPerParcel);
    if (input.purchases.length < purchasesMin || !poison) {
      throw new InputError(`the drill needs ${purchasesMin} purchases, one of them of more than ${cdsPerParcel} CDs`);
    }
    this.#stage = stage;
    this.#input = input;
    this.#say = (text) => narrator.say(text);
    this.#publishers = ["web-1", "web-2"].map(
      (role) => new PublisherProcess(stage.crew, role, input.path, stage.signal),
    );
  }

  async play(): Promise<Story> {
    await this.#open();
    const backlog = await this.#warehouseStops();
    this.#say("processes are killed with SIGKILL, each while a call of its own is being served:");
    for (const [role, part] of [
      ["worker-1", 0.14],
      ["warehouse", 0.18],
      ["worker-2", 0.22],
    ] as const)
      await this.#kill(role, part);
    await this.#finishHistory();
    const poison = await this.#mendPoison();
    await this.#attachForecast();
    return { kills: this.#kills, publishedAgain: this.#publishedAgain, backlog, poison };
  }

  async #open(): Promise<void> {
    this.#stage.receiver.takeParcelsOf(cdsPerParcel);
    for (const role of Object.keys(workers)) this.#start(role);
    await Promise.all([this.#stage.shared("payment", 2), this.#stage.shared("warehouse", 1)]);
    this.#say(`the shop is open: ${[...this.#crew].map(([role, { pid }]) => `${role} (${pid})`).join(", ")}.`);
    this.#say("two web servers send every order, so each arrives twice.");
    await this.#publishTo(0.03);
  }

  async #warehouseStops(): Promise<number> {
    const { receiver } = this.#stage;
    await this.#crew.get("warehouse")?.end();
    this.#say("02:00  the warehouse is down. Customers go on buying:");
    await this.#publishTo(0.1);
    await receiver.served("charge", this.#placed);
    const [status] = (await this.#stage.log.operator.status()).filter((each) => each.name === "warehouse");
    const backlog = status?.pending ?? 0;
    this.#say(
      `       ${n(receiver.counts.charge)} orders are charged, ${n(receiver.counts.reserve)} reserved, ${n(backlog)} wait for the warehouse.`,
    );
    this.#start("warehouse");
    await this.#stage.settled(["warehouse"]);
    this.#say(
      `03:00  the warehouse is back, began where it had left off, and has caught up: ${n(receiver.counts.reserve)} reserved.`,
    );
    return backlog;
  }

  /** While the orders up to this part of the input come in. */
  async #kill(role: string, part: number): Promise<void> {
    const victim = this.#crew.get(role);
    if (victim === undefined) return;
    const inFlight = this.#stage.receiver.hold(victim.pid, 3);
    const published = this.#publishTo(part);
    const { effect, orderId } = await inFlight;
    await victim.end("SIGKILL");
    this.#kills.push({ role, pid: victim.pid });
    const { pid } = this.#start(role);
    this.#say(`       ${role} (${victim.pid}) died in the middle of "${effect} ${orderId}"; ${pid} takes its place.`);
    await published;
    await this.#stage.shared("payment", 2);
    await this.#stage.settled(shop.subscriptionNames);
  }

  async #finishHistory(): Promise<void> {
    await this.#publishTo(0.9);
    await this.#stage.settled(shop.subscriptionNames);
    this.#say(
      `${n(this.#placed)} orders are placed, and each was published twice (${n(this.#publishedAgain)} repetitions came to nothing).`,
    );
  }

  /** The depot refuses large orders. Each of them stops its own customer's orders in the warehouse, and nothing else. */
  async #mendPoison(): Promise<Story["poison"]> {
    const { operator } = this.#stage.log;
    const expected = new Set(
      this.#history()
        .filter((each) => each.cds > cdsPerParcel)
        .map((each) => each.customerId),
    ).size;
    const [status] = (await operator.status()).filter((each) => each.name === "warehouse");
    let [dead, example] = [0, ""];
    for await (const letter of operator.deadLetters({ subscription: "warehouse" })) {
      dead++;
      example ||= `${letter.eventId}: ${letter.attempts.at(-1)?.error.split("\n")[0]}`;
    }
    this.#say(
      `${n(dead)} dead letters in the warehouse, with ${n(status?.held ?? 0)} later orders of the same customers behind them; all others went on.`,
    );
    this.#say(`       ${example}`);
    this.#stage.receiver.takeParcelsOf(null);
    const { redriven } = await operator.redrive({ subscription: "warehouse" }, { confirm: dead });
    await this.#stage.settled(shop.subscriptionNames);
    this.#say(
      `       the depot is mended, ${n(redriven)} dead letters are redriven, and what waited has followed in order.`,
    );
    return { expected, dead, redriven };
  }

  async #attachForecast(): Promise<void> {
    this.#say(
      `another team attaches a forecast to the history of ${n(this.#placed)} orders, while customers go on buying:`,
    );
    this.#crew.set("forecast", this.#stage.crew.start("forecast", "worker.ts", ["forecast"]));
    await this.#publishTo(1);
    await this.#stage.settled([...shop.subscriptionNames, ...forecast.subscriptionNames]);
    this.#say(`       the forecast has seen all ${n(this.#placed)} orders, and the shop did not notice.`);
  }

  #history() {
    return this.#input.purchases.slice(0, this.#placed);
  }
  #start(role: string): Child {
    const child = this.#stage.crew.start(role, "worker.ts", ["shop", ...(workers[role] ?? [])]);
    this.#crew.set(role, child);
    return child;
  }
  /** Both web servers send the orders up to this part of the input. Resolves when all are durable. */
  async #publishTo(part: number): Promise<void> {
    const range = { from: this.#placed, to: Math.floor(this.#input.purchases.length * part) };
    this.#placed = range.to;
    const placed = await Promise.all(this.#publishers.map((publisher) => publisher.place(range)));
    this.#publishedAgain += placed.reduce((sum, { repeated }) => sum + repeated, 0);
  }
}
