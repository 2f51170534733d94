/**
 * Compiles test/types against the packed tarball, as a user's project would: strict settings, declarations emitted, with
 * each TypeScript we promise. Not from src/, so that what is missing from the published declarations shows.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { run } from "./run.ts";

const compilers = ["typescript", "typescript-5.9"];
/** Fewer negative claims than this is a failure: a test that only shows what compiles proves little. */
const refusalsMin = 40;

const refusals = readFileSync("test/types/type-tests.ts", "utf8").split("// @ts-expect-error").length - 1;
if (refusals < refusalsMin) throw new Error(`${refusals} lines under @ts-expect-error, expected ${refusalsMin}`);

run("npm", ["run", "--silent", "build"]);
const folder = mkdtempSync(join(tmpdir(), "factlog-types-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
run("npm", ["pack", "--silent", "--pack-destination", folder]);
const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
if (tarball === undefined) throw new Error("npm pack wrote no tarball");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
}
const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

/** Needs no registry: its dependencies are packed from our node_modules, what the programs import besides is linked. */
function install(tarball: string): void {
  const local = Object.keys(dependencies).map((name) => [name, `file:${resolve("node_modules", name)}`]);
  const manifest = {
    private: true,
    type: "module",
    dependencies: { ...Object.fromEntries(local), factlog: `file:${tarball}` },
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const quiet = ["--offline", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
  run("npm", ["install", "--prefix", folder, "--install-links=true", ...quiet]);
  for (const name of ["zod", "valibot", "arktype", "@types/node"]) {
    const target = join(folder, "node_modules", name);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(resolve("node_modules", name), target, "junction");
  }
}

/** A user's strict project; `skipLibCheck` is off, so that our declarations are checked themselves. */
const compilerOptions = {
  target: "esnext",
  module: "nodenext",
  lib: ["esnext", "esnext.disposable"],
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  skipLibCheck: false,
  declaration: true,
  emitDeclarationOnly: true,
  rewriteRelativeImportExtensions: true,
  rootDir: "src",
  outDir: "out",
};

install(join(folder, tarball));
cpSync("test/types", join(folder, "src"), { recursive: true });
writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
for (const compiler of compilers) {
  run("node", [resolve("node_modules", compiler, "bin/tsc"), "--project", folder]);
  console.log(`${compiler}: ${refusals} refusals and every inference hold`);
}
