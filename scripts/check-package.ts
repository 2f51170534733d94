/** Builds and packs the package as it would be published, and checks the tarball: exports, types, module format. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run.ts";

run("npm", ["run", "--silent", "build"]);
const folder = mkdtempSync(join(tmpdir(), "factlog-pack-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
run("npm", ["pack", "--silent", "--pack-destination", folder]);
const [tarball] = readdirSync(folder);
if (tarball === undefined) throw new Error("npm pack wrote no tarball");
run("publint", ["run", join(folder, tarball), "--strict"]);
run("attw", [join(folder, tarball), "--profile", "esm-only"]);
