import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import type { Command } from "commander";
import { FactlogError } from "../../errors.ts";
import { appTemplate } from "../app-template.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";

interface InitOptions {
  readonly force?: boolean;
}

export function addInit(program: Command, finish: Finish): void {
  const command = program
    .command("init")
    .description("write a first app: an event and a subscription to it")
    .option("--force", "write over an app that is here");
  act<InitOptions>(withCommonOptions(command, "without-url"), finish, init);
}

async function init({ out, options }: Call<InitOptions>): Promise<void> {
  const manifest = readManifest();
  const name = fileName(manifest);
  if (existsSync(name) && options.force !== true) {
    throw new FactlogError("CONFLICT", `${name} is here already and was left as it is: --force writes over it.`, {
      details: { file: name },
    });
  }
  writeFileSync(name, appTemplate.replace("app.ts", name));
  const typed = name === "app.ts" && manifest !== undefined && manifest["type"] === undefined;
  if (typed) writeFileSync("package.json", `${JSON.stringify({ ...manifest, type: "module" }, null, 2)}\n`);
  const next = [...missingPackages().map((each) => `npm i ${each}`), `npx factlog dev ${name}`];
  out.object({ wrote: name, next, packageType: typed ? "module" : undefined });
  out.say(`wrote ${name}${typed ? ', set "type": "module" in package.json' : ""}`);
  out.say(`next: ${next.join(" && ")}`);
}

function readManifest(): Readonly<Record<string, unknown>> | undefined {
  if (!existsSync("package.json")) return undefined;
  return JSON.parse(readFileSync("package.json", "utf8")) as Readonly<Record<string, unknown>>;
}

/**
 * app.ts, which Node takes for a module where package.json says so, as it will in a fresh folder. Where other files rely on
 * CommonJS, the name says it instead: app.mts.
 */
function fileName(manifest: Readonly<Record<string, unknown>> | undefined): string {
  if (manifest?.["type"] === "module") return "app.ts";
  return manifest?.["type"] === "commonjs" || globSync("*.{js,ts}").some((file) => file !== "app.ts")
    ? "app.mts"
    : "app.ts";
}

function missingPackages(): readonly string[] {
  const { resolve: find } = createRequire(resolve("package.json"));
  return ["factlog", "zod"].filter((name) => {
    try {
      find(`${name}/package.json`);
      return false;
    } catch {
      return true;
    }
  });
}
