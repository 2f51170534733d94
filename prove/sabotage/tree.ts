import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bug, patched } from "./bug.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** What the proofs are made of, and what tsc looks at. */
const parts = ["src", "sim", "prove", "test", "package.json", "tsconfig.json", "tsconfig.build.json"];

/** A copy of the sources in which bugs are planted. */
export class Tree {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    for (const part of parts) cpSync(join(root, part), join(path, part), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  }

  /** Plants a bug for as long as `use` takes. */
  async with<T>(bug: Bug, use: () => Promise<T>): Promise<T> {
    const files = patched(bug, (file) => readFileSync(join(root, file), "utf8"));
    try {
      for (const [file, text] of files) writeFileSync(join(this.path, file), text);
      return await use();
    } finally {
      for (const file of files.keys()) cpSync(join(root, file), join(this.path, file));
    }
  }
}
