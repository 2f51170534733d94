/** Compiles src/ to dist/, file for file, from an empty dist/ so that no file of an earlier build is published. */
import { rmSync } from "node:fs";
import { run } from "./run.ts";

rmSync("dist", { recursive: true, force: true });
run("tsc", ["-p", "tsconfig.build.json"]);
