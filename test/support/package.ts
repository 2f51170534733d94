import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Running, type Ran } from "./cli.ts";

/** An empty folder that is removed when the process ends. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `factlog-${name}-`));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** What npm says to the scripts it runs is not for the npm that they run. */
const kept = new Set(["npm_config_registry", "npm_config_cache", "npm_config_userconfig", "npm_config_globalconfig"]);
export function cleanEnv(): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") || kept.has(name));
  return {
    ...Object.fromEntries(passed),
    FACTLOG_URL: "",
    NO_COLOR: "1",
    npm_config_update_notifier: "false",
    npm_config_loglevel: "error",
  };
}

/** Runs a command line in a folder, as a person would type it. */
export function shell(cwd: string, line: string): Promise<Ran> {
  return new Running(spawn(line, { cwd, shell: true, env: cleanEnv(), stdio: ["ignore", "pipe", "pipe"] })).ended;
}

async function succeed(cwd: string, line: string): Promise<string> {
  const { code, stdout, stderr } = await shell(cwd, line);
  if (code === 0) return stdout;
  throw new Error(`${line} ended with ${code}:\n${stdout}${stderr}`);
}

/** Builds and packs the package as it would be published, beside the repository's own dist/. Answers the tarball. */
export async function pack(): Promise<string> {
  const folder = temporaryFolder("pack");
  const [tsc, config] = [resolve("node_modules/typescript/bin/tsc"), resolve("tsconfig.build.json")];
  await succeed(folder, `"${process.execPath}" "${tsc}" -p "${config}" --outDir dist`);
  for (const file of ["package.json", ...manifest().files.filter((each) => each !== "dist")])
    cpSync(file, join(folder, file), { recursive: true });
  await succeed(folder, "npm pack --silent --ignore-scripts");
  const tarball = readdirSync(folder).find((file) => file.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack wrote no tarball");
  return join(folder, tarball);
}

interface Manifest {
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: { readonly zod: string };
}
const manifest = (): Manifest => JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

/**
 * Installs the tarball, and zod as users do, in an empty folder. Packages come from npm's cache or the registry; where
 * there is none, from what is installed here.
 */
export async function install(tarball: string, prepare = ""): Promise<string> {
  const folder = join(temporaryFolder("install"), "shop");
  mkdirSync(folder);
  if (prepare !== "") await succeed(folder, prepare);
  const { dependencies, devDependencies } = manifest();
  const quiet = "--no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=200 --fetch-retry-maxtimeout=1000";
  const usual = await shell(folder, `npm install --prefer-offline ${quiet} "${tarball}" zod@${devDependencies.zod}`);
  if (usual.code === 0) return folder;
  if (!/E(?:CONNREFUSED|CONNRESET|NOTFOUND|AI_AGAIN|TIMEDOUT)|network/u.test(usual.stderr))
    throw new Error(usual.stderr);
  const local = ["zod", ...Object.keys(dependencies)].map((name) => `"file:${resolve("node_modules", name)}"`);
  await succeed(folder, `npm install --offline --install-links=true ${quiet} "${tarball}" ${local.join(" ")}`);
  return folder;
}

const started = new Set<Running>();
/** Ends what `startInstalled` has started and is not ended yet. */
export async function endAll(): Promise<void> {
  await Promise.all([...started].map((running) => running.end("SIGKILL")));
}

/** Starts the installed command line itself, so that signals reach it. */
export function startInstalled(
  cwd: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  const bin = join(cwd, "node_modules/factlog/bin/factlog.js");
  const child = spawn(process.execPath, [bin, ...args], {
    cwd,
    env: { ...cleanEnv(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const running = new Running(child);
  started.add(running);
  return running;
}
