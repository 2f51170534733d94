import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FactlogError } from "../../errors.ts";
import { type Log, openLog } from "../../runtime/log.ts";
import { age, plural } from "../format.ts";
import type { Output } from "../output.ts";
import { received } from "./receiver.ts";
import { forecaster, mendedFile, OrderPlaced, shop, type ShopOptions, unknownArticle } from "./shop.ts";
import { type DemoSummary, summaryOf } from "./summary.ts";

const before = 12;
const killedAt = 9;
const poisonAt = 5;
const whileDown = 25;
/** Longest wait for something that has to happen. */
const factMaxMs = 30_000;
const readingMs = 3_000;
const workerFile = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url),
);
const silent = (): void => {};
const signals = ["SIGINT", "SIGTERM"] as const;
/** As a shell says it of a process that Ctrl-C has ended. */
const interrupt = (): never => process.exit(130);

/** The night at 2 AM, played for real: a log on disk, a second process that is killed, receivers that count. */
export class Story {
  readonly #out: Output;
  readonly #paceMs: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "factlog-demo-"));
  readonly #url = `sqlite:${join(this.#folder, "shop.db")}`;
  readonly #orders: string[] = [];
  readonly #startedMs = performance.now();
  #warehouse: ChildProcess | undefined;

  constructor(out: Output, fast: boolean) {
    this.#out = out;
    this.#paceMs = fast ? 0 : readingMs;
  }

  /** Leaves nothing behind, whatever happens. */
  async tell(): Promise<DemoSummary> {
    const logger = { debug: silent, info: silent, warn: silent, error: silent };
    process.on("exit", this.#cleanUp);
    for (const signal of signals) process.on(signal, interrupt);
    try {
      await using log = await openLog(this.#url, { source: "demo-shop", logger });
      return await this.#night(log);
    } finally {
      this.#cleanUp();
      process.off("exit", this.#cleanUp);
      for (const signal of signals) process.off(signal, interrupt);
    }
  }
  #cleanUp = (): void => {
    this.#warehouse?.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  };

  async #night(log: Log): Promise<DemoSummary> {
    const payment = await log.work(shop({ folder: this.#folder }), { only: ["payment"] });
    await this.#evening(log);
    await this.#outage(log);
    await this.#morning(log);
    const redriven = await this.#mend(log);
    const forecast = await this.#newTeam(log);
    for (const service of ["payment", "warehouse"]) {
      await this.#until(`${service} to be through`, async () => this.#calls(service).size === this.#orders.length);
    }
    await payment.stop();
    await this.#endWarehouse();
    return this.#summary(log, redriven, forecast);
  }

  async #evening(log: Log): Promise<void> {
    this.#say(
      "01:55",
      "The shop is open. The front end publishes OrderPlaced and is done; payment works in this process,",
    );
    this.#say("", "the warehouse in a process of its own.");
    this.#startWarehouse({ standStillAt: orderId(killedAt) });
    for (let i = 1; i <= before; i++) await this.#place(log, i);
    const twice = await log.publish(OrderPlaced({ orderId: orderId(1), sku: sku(1) }));
    this.#say(
      "01:57",
      `${before} orders placed. The browser sent ${twice.id} twice: ${twice.duplicate ? "still one order" : "TWO ORDERS"}.`,
    );
    await this.#until("the poison to be set aside", async () => (await this.#dead(log)) === 1);
    this.#say(
      "01:58",
      `${orderId(poisonAt)} names an article that does not exist: set aside with its error. It blocks only itself.`,
    );
    await this.#pause();
  }

  async #outage(log: Log): Promise<void> {
    await this.#until("the warehouse to be in the middle", async () => this.#calls("warehouse").has(orderId(killedAt)));
    await this.#killWarehouse();
    this.#say(
      "02:00",
      `kill -9: the warehouse dies in ${orderId(killedAt)}, after the shelf was told and before it could note that.`,
    );
    for (let i = before + 1; i <= before + whileDown; i++) await this.#place(log, i);
    await this.#until("payment to go on", async () => this.#calls("payment").size >= before + whileDown - 1);
    const behind = await this.#depth(log);
    this.#say(
      "02:30",
      `Nobody had to get up. ${whileDown} more orders came in and were paid; ${behind} wait for the warehouse.`,
    );
    await this.#pause();
  }

  async #morning(log: Log): Promise<void> {
    const startedMs = performance.now();
    this.#startWarehouse({});
    await this.#until("the warehouse to catch up", async () => (await this.#depth(log)) === 0);
    const tookMs = performance.now() - startedMs;
    const again = received(this.#folder).filter(
      (call) => call.service === "warehouse" && call.orderId === orderId(killedAt),
    );
    const same = new Set(again.map((call) => call.key)).size === 1;
    this.#say("06:00", `The warehouse is started again and has caught up after ${age(tookMs)}, its start included.`);
    this.#say(
      "",
      `${orderId(killedAt)} was delivered ${again.length} times, with ${same ? "the same idempotency key: one parcel" : "DIFFERENT KEYS"}.`,
    );
    await this.#pause();
  }

  async #mend(log: Log): Promise<number> {
    writeFileSync(mendedFile(this.#folder), "");
    const { redriven } = await log.operator.redrive({ subscription: "warehouse" }, { confirm: 1 });
    await this.#until(
      "the redriven order",
      async () => this.#calls("warehouse").has(orderId(poisonAt)) && (await this.#dead(log)) === 0,
    );
    this.#say(
      "08:00",
      `The article is entered, ${orderId(poisonAt)} redriven in place: \`factlog dead redrive\`. Done.`,
    );
    await this.#pause();
    return redriven;
  }

  async #newTeam(log: Log): Promise<ReadonlyMap<string, number>> {
    const sold = new Map<string, number>();
    const work = await log.work(forecaster(sold));
    const last = before + whileDown + 1;
    await this.#place(log, last);
    await this.#until("the forecast to be through", async () => sold.has(orderId(last)) && sold.size === last);
    await work.stop();
    this.#say(
      "09:00",
      `A new team attaches a forecast to the history, from the beginning: it has read all ${plural(sold.size, "order")},`,
    );
    this.#say("", "one placed a moment ago included, and the shop did not notice.");
    await this.#pause();
    return sold;
  }

  async #summary(log: Log, redriven: number, forecast: ReadonlyMap<string, number>): Promise<DemoSummary> {
    let stored = 0;
    for await (const event of log.read({ on: OrderPlaced })) stored += event.type === "OrderPlaced" ? 1 : 0;
    return summaryOf({
      orders: this.#orders,
      calls: received(this.#folder),
      forecast,
      publishedTwice: 1,
      stored,
      deadLettersLeft: await this.#dead(log),
      redriven,
      kills: 1,
      seconds: (performance.now() - this.#startedMs) / 1000,
    });
  }

  // ── what happens ──
  async #place(log: Log, number: number): Promise<void> {
    this.#orders.push(orderId(number));
    await log.publish(
      OrderPlaced({ orderId: orderId(number), sku: number === poisonAt ? unknownArticle : sku(number) }),
    );
  }
  #startWarehouse(options: Partial<ShopOptions>): void {
    const argument = JSON.stringify({ url: this.#url, folder: this.#folder, ...options });
    this.#warehouse = spawn(process.execPath, [...process.execArgv, workerFile, argument], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }
  async #killWarehouse(): Promise<void> {
    const child = this.#warehouse;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  async #endWarehouse(): Promise<void> {
    const child = this.#warehouse;
    if (child === undefined || child.exitCode !== null) return;
    child.disconnect();
    await once(child, "exit");
  }

  // ── what is seen ──
  #calls(service: string): ReadonlySet<string> {
    return new Set(
      received(this.#folder)
        .filter((call) => call.service === service)
        .map((call) => call.orderId),
    );
  }
  async #dead(log: Log): Promise<number> {
    return (await log.operator.status()).reduce((sum, each) => sum + each.dead, 0);
  }
  async #depth(log: Log): Promise<number> {
    return (await log.operator.status()).find((each) => each.name === "warehouse")?.depth ?? 0;
  }
  async #until(what: string, happened: () => Promise<boolean>): Promise<void> {
    const latestMs = performance.now() + factMaxMs;
    while (!(await happened())) {
      if (typeof this.#warehouse?.exitCode === "number")
        throw new FactlogError(
          "TIMEOUT",
          `the demo waited for ${what}, but the warehouse has ended: its error stands above.`,
        );
      if (performance.now() > latestMs)
        throw new FactlogError("TIMEOUT", `the demo waited ${age(factMaxMs)} for ${what}: please report it.`);
      await sleep(20);
    }
  }
  #say(clock: string, text: string): void {
    this.#out.say(`${clock.padEnd(5)}  ${text}`);
  }
  async #pause(): Promise<void> {
    await sleep(this.#paceMs);
  }
}

const orderId = (number: number): string => `o-${number}`;
const sku = (number: number): string => `cd-${(number * 7) % 10}`;
