import { type FSWatcher, statSync, watch } from "node:fs";
import { dirname } from "node:path";

const settleMs = 100;
/** Where the system tells nothing of changes (network disks, some containers), this finds them. */
const lookMs = 1_000;

/**
 * Calls `changed` with the first of the watched files whose time of change is another than when it was loaded. Editors
 * replace files, so their folders are watched, and a change counts once it has settled.
 */
export class FileWatch {
  readonly #changed: (path: string) => void;
  readonly #files = new Map<string, number | undefined>();
  readonly #folders = new Map<string, FSWatcher | undefined>();
  readonly #regular: NodeJS.Timeout;
  #settling: NodeJS.Timeout | undefined;

  constructor(changed: (path: string) => void) {
    this.#changed = changed;
    this.#regular = setInterval(() => this.#look(), lookMs).unref();
  }
  /** Watches a file that was loaded after `loadedAfterMs`: a later change is one already. */
  add(path: string, loadedAfterMs: number): void {
    const time = timeOf(path);
    this.#files.set(path, time !== undefined && time > loadedAfterMs ? loadedAfterMs : time);
    this.#watchFolder(dirname(path));
    if (time !== this.#files.get(path)) this.#soon();
  }
  /** Watches these files only, as they are now known. */
  keep(paths: ReadonlySet<string>): void {
    for (const path of this.#files.keys()) if (!paths.has(path)) this.#files.delete(path);
    const folders = new Set([...this.#files.keys()].map((path) => dirname(path)));
    for (const [folder, watcher] of this.#folders) {
      if (folders.has(folder)) continue;
      watcher?.close();
      this.#folders.delete(folder);
    }
  }
  close(): void {
    clearInterval(this.#regular);
    clearTimeout(this.#settling);
    for (const watcher of this.#folders.values()) watcher?.close();
    this.#folders.clear();
  }

  #watchFolder(folder: string): void {
    if (this.#folders.has(folder)) return;
    this.#folders.set(folder, undefined);
    try {
      const watcher = watch(folder, () => this.#soon());
      watcher.on("error", () => watcher.close());
      this.#folders.set(folder, watcher);
    } catch {
      // The regular look finds changes too.
    }
  }
  #soon(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#look(), settleMs);
  }
  #look(): void {
    for (const [path, time] of this.#files) {
      const now = timeOf(path);
      if (now === time) continue;
      this.#files.set(path, now);
      return this.#changed(path);
    }
  }
}

const timeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.mtimeMs;
