import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type App, type AppSpec, appSpecOf } from "../app/app.ts";
import { FactlogError } from "../errors.ts";
import { describeFailure } from "../runtime/failure.ts";
import { UserCodeError } from "./failure.ts";
import { shownPath } from "./format.ts";
import type { Output } from "./output.ts";

export interface AppFile {
  readonly app: App;
  readonly spec: AppSpec;
  /** As people know it. */
  readonly name: string;
}

export const appFileNames = ["app.ts", "app.mts", "app.js", "app.mjs"] as const;

/** The app file to take where none is named. */
export function appFileHere(): string | undefined {
  return appFileNames.find((name) => existsSync(name));
}

/** Throws NOT_FOUND where no app is named and none is here. */
export function requireAppFile(given: string | undefined, what: string): string {
  const path = given ?? appFileHere();
  if (path !== undefined) return path;
  throw new FactlogError(
    "NOT_FOUND",
    `${what}, and there is no app.ts here: name the file with --app, or begin with \`factlog init\`.`,
  );
}

/** The app that is named; else the one that is here, if it loads: a broken file must not hide the state of the log. */
export async function appIfAny(given: string | undefined, out: Output): Promise<AppFile | undefined> {
  if (given !== undefined) return loadApp(given);
  const here = appFileHere();
  if (here === undefined) return undefined;
  try {
    return await loadApp(here);
  } catch {
    out.remark(`${here} does not load, so the log was not compared with it: name it with --app to see why.`);
    return undefined;
  }
}

/** Imports the user's file as it is (Node strips its types). Throws NOT_FOUND; INVALID_DEFINITION where it is no app. */
export async function loadApp(file: string): Promise<AppFile> {
  const path = resolve(file);
  const name = shownPath(path);
  if (!existsSync(path)) {
    throw new FactlogError("NOT_FOUND", `${name} is not there: \`factlog init\` writes an app to begin with.`, {
      details: { file: path },
    });
  }
  const exported = await importOf(path, name);
  if (exported["default"] === undefined) {
    throw new FactlogError(
      "INVALID_DEFINITION",
      `${name} has no default export: end it with \`export default defineApp({ ... })\`.`,
      { details: { file: path } },
    );
  }
  try {
    const app = exported["default"] as App;
    return { app, spec: appSpecOf(app), name };
  } catch (cause) {
    const message = `the default export of ${name} is no app: give what defineApp returned.`;
    throw new FactlogError("INVALID_DEFINITION", message, { cause, details: { file: path } });
  }
}

async function importOf(path: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new FactlogError("INVALID_DEFINITION", `${name} did not load:`, {
      cause: new UserCodeError(loadFailure(error), { cause: error }),
      details: { file: path, error: describeFailure("error", error).error },
    });
  }
}

/** The error with the frames of the user's own files, and what helps against the usual ones. */
function loadFailure(error: unknown): string {
  const lines = describeFailure("error", error).error.split("\n");
  const own = lines.filter(
    (line) => !/^\s+at .*(?:node:internal|node_modules|\/cli\/(?:app-file|dev)|ModuleLoader)/u.test(line),
  );
  return [...own, ...adviceOn(error)].join("\n");
}

function adviceOn(error: unknown): readonly string[] {
  const { code, message } = error as NodeJS.ErrnoException;
  const missing = code === "ERR_MODULE_NOT_FOUND" ? /Cannot find package '([^']+)'/u.exec(message)?.[1] : undefined;
  if (missing !== undefined) return [`install it: npm i ${missing}`];
  if (message?.includes("import statement outside a module") === true) {
    return ['its package.json says "type": "commonjs": name the file app.mts, or set "type": "module".'];
  }
  return [];
}
