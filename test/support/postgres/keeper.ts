import { once } from "node:events";
import { createServer, type Server as NetServer } from "node:net";
import { releases } from "./binaries.ts";
import { Server } from "./server.ts";

/** Where test files ask for a server: see `test/support/postgres.ts`. */
export const keeperVariable = "FACTLOG_TEST_SERVERS";

/**
 * The servers of one run of the tests: each is started when a file first asks for it, shared by all files, and ended
 * with this process whatever happens.
 */
export class Keeper {
  readonly #servers = new Map<string, Promise<Server>>();
  readonly #up: Server[] = [];
  #door: NetServer | undefined;

  constructor() {
    process.once("exit", () => this.#killAll());
  }

  /** The address of a release's server. */
  async url(name: string): Promise<string> {
    const release = releases.find((one) => one.name === name);
    if (release === undefined) throw new Error(`there is no ${name} here`);
    const started = this.#servers.get(name) ?? Server.start(release);
    this.#servers.set(name, started);
    const server = await started;
    if (!this.#up.includes(server)) this.#up.push(server);
    return server.url;
  }

  /** Opens the door for other processes: they send a name, and get an address or an error. */
  async listen(): Promise<string> {
    this.#door = createServer((socket) => {
      socket.setEncoding("utf8").on("error", () => undefined);
      socket.on("data", (name: string) => {
        this.url(name).then(
          (url) => socket.end(url),
          (error: unknown) => socket.end(`error ${String(error)}`),
        );
      });
    });
    this.#door.unref().listen(0, "127.0.0.1");
    await once(this.#door, "listening");
    return `${(this.#door.address() as { port: number }).port}`;
  }

  #killAll(): void {
    for (const server of this.#up) server.killSync();
  }
}
