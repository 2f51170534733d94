import { closeSync, openSync, readSync } from "node:fs";
import { dirname } from "node:path";

/** What a process asked of the disk, in order, and what it said in between. */
export type Call =
  | { readonly do: "write"; readonly file: string; readonly at: number; readonly bytes: Buffer }
  | { readonly do: "truncate"; readonly file: string; readonly size: number }
  | { readonly do: "create" | "unlink" | "sync"; readonly file: string }
  | { readonly do: "sync-directory" }
  | { readonly do: "say"; readonly text: string };

/** System calls to record. Seccomp lets the others pass at full speed. */
const recorded = "openat,pwrite64,pwritev,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat2";
export function tracer(output: string): readonly string[] {
  const flags = `strace -f --seccomp-bpf -qq -y -xx -s 70000 -e signal=none -e trace=${recorded} -o`;
  return [...flags.split(" "), output];
}

/** Names of the files that live and die with a store: `<db>-shm` is no part of it, sessions and bell are hints. */
const kept = ["", "-wal", "-journal"];

/** Reads a recording: what it did to `path` and its companions. Throws where it shows what a replay cannot follow. */
export function callsOf(recording: string, path: string): readonly Call[] {
  const names = new Set(kept.map((suffix) => path + suffix));
  const unfinished = new Map<string, string>();
  const calls: Call[] = [];
  for (const raw of linesOf(recording)) {
    const [pid, line] = split(raw, " ");
    if (line.endsWith("<unfinished ...>")) {
      unfinished.set(pid, line.slice(0, -"<unfinished ...>".length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(line);
    const whole = resumed === null ? line : (unfinished.get(pid) ?? "") + line.slice(resumed[0].length);
    const call = callOf(whole, path, names);
    if (call !== undefined) calls.push(call);
  }
  return calls;
}

function* linesOf(path: string): Generator<string> {
  const file = openSync(path, "r");
  const buffer = Buffer.allocUnsafe(1 << 20);
  let rest = "";
  try {
    for (let size = readSync(file, buffer); size > 0; size = readSync(file, buffer)) {
      const lines = (rest + buffer.toString("latin1", 0, size)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    closeSync(file);
  }
}

/** At the first of it; blanks that pad a process's number are dropped. */
function split(text: string, by: string): readonly [string, string] {
  const at = text.indexOf(by);
  return [text.slice(0, at), text.slice(at).trimStart()];
}

/** `name(3<\x2f...>, "\x00...", 4096, 0) = 4096`: the descriptor with its path, hexadecimal strings, the answer. */
const form = /^(\w+)\((?:(\d+)<((?:\\x\w\w)*)>|([^,"]*))?(.*)\)\s+= (-?\d+)/;

function callOf(line: string, path: string, names: ReadonlySet<string>): Call | undefined {
  const parts = form.exec(line);
  if (parts === null) return undefined;
  const [, name = "", fd, fdPath = "", , args = "", answer = "-1"] = parts;
  if (Number(answer) < 0) return undefined;
  const file = unhex(fdPath).toString();
  switch (name) {
    case "write":
      if (names.has(file)) throw new Error(`a replay does not know where write() put its bytes in ${file}`);
      return fd === "1" ? { do: "say", text: stringIn(args).toString() } : undefined;
    case "pwrite64":
      return names.has(file) ? writeOf(file, args, Number(answer)) : undefined;
    case "ftruncate":
      return names.has(file) ? { do: "truncate", file, size: Number(args.slice(1).trim()) } : undefined;
    case "fsync":
    case "fdatasync":
      if (names.has(file)) return { do: "sync", file };
      return file === dirname(path) ? { do: "sync-directory" } : undefined;
    case "openat":
    case "unlink":
    case "unlinkat":
      return nameOf(name, args, line, names);
    default:
      if (names.has(file) || renames(line, names)) throw new Error(`a replay does not know ${name}()`);
      return undefined;
  }
}

function writeOf(file: string, args: string, written: number): Call {
  const bytes = stringIn(args);
  const at = Number(args.slice(args.lastIndexOf(",") + 1).trim());
  if (bytes.length < written) throw new Error(`${written} bytes were written, ${bytes.length} recorded`);
  return { do: "write", file, at, bytes: bytes.subarray(0, written) };
}

function nameOf(name: string, args: string, line: string, names: ReadonlySet<string>): Call | undefined {
  const file = stringIn(name === "unlink" ? line : args).toString();
  if (!names.has(file)) return undefined;
  if (name !== "openat") return { do: "unlink", file };
  return line.includes("O_CREAT") ? { do: "create", file } : undefined;
}

/** Whether any of the strings of a call is one of the names. */
const renames = (line: string, names: ReadonlySet<string>): boolean =>
  [...line.matchAll(/"((?:\\x\w\w)*)"/g)].some(([, text = ""]) => names.has(unhex(text).toString()));

const stringIn = (args: string): Buffer => {
  const from = args.indexOf('"') + 1;
  const to = args.indexOf('"', from);
  if (args.startsWith("...", to + 1)) throw new Error("the recording cut a string short");
  return unhex(args.slice(from, to));
};
const unhex = (text: string): Buffer => Buffer.from(text.replaceAll("\\x", ""), "hex");
