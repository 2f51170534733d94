/**
 * The servers of the peers, each a process of this one in a temporary directory, on a free port of loopback. Durable
 * before they acknowledge, everything else as it comes.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { releases } from "../../test/support/postgres/binaries.ts";
import { freePort, Server } from "../../test/support/postgres/server.ts";
import type { ServerKind } from "./peer.ts";

export interface Running {
  readonly address: string;
  readonly version: string;
  stop(): Promise<void>;
}

/** What can be started here, or why not. */
export type Found = { readonly start: () => Promise<Running> } | { readonly missing: string };

const startMaxMs = 60_000;
const loopback = "127.0.0.1";

export function findServer(kind: ServerKind): Found {
  switch (kind) {
    case "redis":
      return findProgram("redis-server", startRedis);
    case "nats":
      return findProgram("nats-server", startNats, natsObjection);
    case "rabbitmq":
      return findProgram("rabbitmq-server", startRabbitmq);
    case "postgres":
      return releases[0] === undefined
        ? { missing: "there is no PostgreSQL: npm ci did not bring tools/postgres" }
        : { start: startPostgres };
  }
}

function findProgram(
  name: string,
  start: (program: string) => Promise<Running>,
  objection: (program: string) => string | undefined = () => undefined,
): Found {
  const program = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));
  if (program === undefined) return { missing: `${name} is not on the PATH` };
  const missing = objection(program);
  return missing === undefined ? { start: () => start(program) } : { missing };
}

async function startRedis(program: string): Promise<Running> {
  const port = await freePort();
  const version = /v=([\d.]+)/.exec(say(program, "--version"))?.[1];
  // No snapshots and no rewriting beside the log that is synced: they would only take time.
  const args = (directory: string): string[] =>
    Object.entries({
      bind: loopback,
      port: `${port}`,
      dir: directory,
      appendonly: "yes",
      appendfsync: "always",
      save: "",
      "auto-aof-rewrite-percentage": "0",
    }).flatMap(([name, value]) => [`--${name}`, value]);
  const stop = await startProcess(program, args, /Ready to accept connections/);
  return { address: `redis://${loopback}:${port}`, version: `Redis ${version}`, stop };
}

const natsSettings = (directory: string, port: number): string =>
  `listen: "${loopback}:${port}"\njetstream { store_dir: "${directory}", sync_interval: always }\n`;

/** Releases before 2.10 cannot sync before they acknowledge. */
function natsObjection(program: string): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "factlog-nats-"));
  const file = join(directory, "nats.conf");
  try {
    writeFileSync(file, natsSettings(directory, 1));
    execFileSync(program, ["-c", file, "-t"], { stdio: "pipe" });
    return undefined;
  } catch {
    return `${say(program, "--version").trim()} does not know sync_interval: always (2.10 and later do)`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startNats(program: string): Promise<Running> {
  const port = await freePort();
  const version = /v([\d.]+)/.exec(say(program, "--version"))?.[1];
  const args = (directory: string): string[] => {
    const file = join(directory, "nats.conf");
    writeFileSync(file, natsSettings(directory, port));
    return ["-c", file];
  };
  const stop = await startProcess(program, args, /Server is ready/);
  return { address: `nats://${loopback}:${port}`, version: `NATS ${version}`, stop };
}

/** With a port mapper (epmd) of its own: the one that Erlang starts by itself would outlive the run. */
async function startRabbitmq(onPath: string): Promise<Running> {
  // What Debian has on the PATH runs the server as another user, where nothing can end it.
  const debian = "/usr/lib/rabbitmq/bin/rabbitmq-server";
  const program = existsSync(debian) ? debian : onPath;
  const [port, distribution, mapper] = [await freePort(), await freePort(), await freePort()];
  const stopMapper = await startProcess(
    "epmd",
    () => ["-port", `${mapper}`, "-address", loopback, "-debug"],
    /epmd running/,
  );
  const environment = (directory: string): Record<string, string> => ({
    HOME: directory,
    ERL_EPMD_PORT: `${mapper}`,
    ERL_EPMD_ADDRESS: loopback,
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: loopback,
    RABBITMQ_NODE_PORT: `${port}`,
    RABBITMQ_DIST_PORT: `${distribution}`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
    RABBITMQ_MNESIA_BASE: join(directory, "data"),
    RABBITMQ_LOG_BASE: join(directory, "log"),
    RABBITMQ_CONFIG_FILE: join(directory, "rabbitmq"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "plugins"),
    RABBITMQ_PID_FILE: join(directory, "pid"),
    // The script becomes the server, instead of waiting for it: its process is the one to end.
    RUNNING_UNDER_SYSTEMD: "1",
  });
  try {
    const said = { text: "" };
    const stop = await startProcess(program, () => [], /completed with \d+ plugins/, environment, said);
    const version = /RabbitMQ ([\d.]+)/.exec(said.text)?.[1];
    return {
      address: `amqp://guest:guest@${loopback}:${port}`,
      version: `RabbitMQ ${version}`,
      stop: async () => {
        await stop();
        await stopMapper();
      },
    };
  } catch (error) {
    await stopMapper();
    throw error;
  }
}

/** The newest of those that the tests use, synced like any other. */
async function startPostgres(): Promise<Running> {
  const server = await Server.start(releases[0]!);
  const end = (): void => server.killSync();
  process.once("exit", end);
  return {
    address: server.url,
    version: releases[0]!.name.replace("postgres", "PostgreSQL"),
    stop: async () => {
      process.off("exit", end);
      await server.stop();
    },
  };
}

const say = (program: string, ...args: readonly string[]): string => execFileSync(program, args, { encoding: "utf8" });

/** Resolves, once it says that it is ready, to what ends it. It ends with this process too, whatever ends that. */
async function startProcess(
  program: string,
  args: (directory: string) => readonly string[],
  ready: RegExp,
  environment: (directory: string) => Record<string, string> = () => ({}),
  said = { text: "" },
): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), "factlog-peer-"));
  const server = spawn(program, args(directory), {
    cwd: directory,
    env: { ...process.env, ...environment(directory) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  const end = (): void => {
    server.kill("SIGKILL");
    remove();
  };
  process.once("exit", end);
  const stop = async (): Promise<void> => {
    process.off("exit", end);
    await killed(server);
    remove();
  };
  try {
    await saying(server, ready, said);
  } catch (error) {
    await stop();
    throw new Error(`${program} does not start: ${said.text}`, { cause: error });
  }
  return stop;
}

async function saying(server: ChildProcess, ready: RegExp, said: { text: string }): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(() => reject(new Error(`not up after ${startMaxMs} ms`)), startMaxMs);
  const hear = (text: string): void => {
    said.text = (said.text + text).slice(-20_000);
    if (ready.test(said.text)) resolve();
  };
  server.stdout?.setEncoding("utf8").on("data", hear);
  server.stderr?.setEncoding("utf8").on("data", hear);
  server.once("error", reject);
  server.once("exit", (code) => reject(new Error(`ended with ${code}`)));
  try {
    await promise;
  } finally {
    clearTimeout(late);
  }
}

async function killed(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
}
