import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  lchownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Release } from "./binaries.ts";

export interface ServerOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[];
  /** Speaks TLS, and in the clear with nobody: PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Comes up read-only, as one that follows another server. */
  readonly standby?: boolean;
}

/** The password of the one user who is asked for one: "guarded". */
export const guardedPassword = "correct horse";
const startMaxMs = 30_000;

/** One server with a directory of its own, on loopback. Synced like any other: what it promises is what is tested. */
export class Server {
  readonly url: string;
  readonly port: number;
  readonly #directory: string;
  readonly #bin: string;
  #process: ChildProcess;

  private constructor(directory: string, bin: string, port: number, process: ChildProcess) {
    this.#directory = directory;
    this.#bin = bin;
    this.port = port;
    this.#process = process;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  static async start(release: Release, options: ServerOptions = {}): Promise<Server> {
    const directory = mkdtempSync(join(tmpdir(), "factlog-pg-"));
    const bin = release.programs(directory);
    for (const [name, text] of Object.entries(options.tls ?? {}))
      writeFileSync(join(directory, name), text, { mode: 0o600 });
    giveAway(directory);
    const data = join(directory, "data");
    execFileSync(
      join(bin, "initdb"),
      ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
      { ...identity(), stdio: "ignore" },
    );
    const hba = join(data, "pg_hba.conf");
    const inTheClear = options.tls === undefined ? "" : "hostnossl all all 127.0.0.1/32 reject\n";
    writeFileSync(hba, `${inTheClear}host all guarded 127.0.0.1/32 scram-sha-256\n${readFileSync(hba, "utf8")}`);
    const port = await freePort();
    const settings = [
      "listen_addresses = '127.0.0.1'",
      `port = ${port}`,
      `unix_socket_directories = '${directory}'`,
      "max_connections = 300",
      "shared_buffers = 64MB",
      ...(options.tls === undefined
        ? []
        : ["ssl = on", `ssl_cert_file = '${directory}/cert'`, `ssl_key_file = '${directory}/key'`]),
      ...(options.settings ?? []),
    ];
    appendFileSync(join(data, "postgresql.conf"), `${settings.join("\n")}\n`);
    if (options.standby === true) writeFileSync(join(data, "standby.signal"), "");
    return new Server(directory, bin, port, await startIn(directory, bin));
  }

  /** Ends at once, as by a crash, and comes again. */
  async restart(): Promise<void> {
    await this.kill();
    await this.resume();
  }

  /** Comes again, where it was. */
  async resume(): Promise<void> {
    this.#process = await startIn(this.#directory, this.#bin);
  }

  /** Where its programs are. */
  get programs(): string {
    return this.#bin;
  }

  /** Ends in order: what its files hold then is whole. */
  async halt(): Promise<void> {
    await this.#end("SIGINT");
  }

  /** Keeps its files as they are while it is halted. The function puts them back, while it is halted again. */
  keepFiles(): () => void {
    const [data, kept] = [join(this.#directory, "data"), join(this.#directory, "kept")];
    cpSync(data, kept, { recursive: true });
    chmodSync(kept, 0o700);
    return () => {
      rmSync(data, { recursive: true });
      renameSync(kept, data);
      giveAway(this.#directory);
    };
  }

  /** A copy of a halted server that follows it once both are up. */
  static async following(first: Server): Promise<Server> {
    const directory = mkdtempSync(join(tmpdir(), "factlog-pg-"));
    const data = join(directory, "data");
    cpSync(join(first.#directory, "data"), data, { recursive: true });
    chmodSync(data, 0o700);
    const port = await freePort();
    const settings = [
      `port = ${port}`,
      `unix_socket_directories = '${directory}'`,
      `primary_conninfo = 'host=127.0.0.1 port=${first.port} user=postgres'`,
    ];
    appendFileSync(join(data, "postgresql.conf"), `${settings.join("\n")}\n`);
    writeFileSync(join(data, "standby.signal"), "");
    giveAway(directory);
    return new Server(directory, first.#bin, port, await startIn(directory, first.#bin));
  }

  /** Ends at once: clients lose their connections, and what was committed is recovered at the next start. */
  async kill(): Promise<void> {
    await this.#end("SIGQUIT");
  }
  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }

  /** For the end of a process: does not wait. */
  killSync(): void {
    this.#process.kill("SIGQUIT");
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function startIn(directory: string, bin: string): Promise<ChildProcess> {
  const server = spawn(join(bin, "postgres"), ["-D", join(directory, "data")], {
    ...identity(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Whatever ends this process: also while the server is still coming up.
  const end = (): void => void server.kill("SIGQUIT");
  process.once("exit", end);
  server.once("exit", () => process.off("exit", end));
  let said = "";
  const ready = new Promise<void>((resolve, reject) => {
    const late = AbortSignal.timeout(startMaxMs);
    late.addEventListener("abort", () => reject(new Error(`PostgreSQL is not up after ${startMaxMs} ms: ${said}`)));
    server.on("error", reject);
    server.on("exit", () => reject(new Error(`PostgreSQL ended: ${said}`)));
    server.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-10_000);
      if (/ready to accept (read-only )?connections/u.test(said)) resolve();
    });
  });
  await ready;
  // Neither the process nor what it says keeps the tests from ending.
  server.unref();
  (server.stderr as Socket).unref();
  return server;
}

/** Neither PostgreSQL nor PgBouncer runs as root: then it runs as another user of this machine. */
export function identity(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const rows = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = rows.find((row) => row.startsWith(`${name}:`))?.split(":") ?? [];
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error("PostgreSQL does not run as root, and there is neither a user postgres nor nobody");
}

function giveAway(directory: string): void {
  const { uid, gid } = identity();
  if (uid === undefined || gid === undefined) return;
  chownSync(directory, uid, gid);
  chmodSync(directory, 0o755);
  for (const path of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    lchownSync(join(directory, path), uid, gid);
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}
