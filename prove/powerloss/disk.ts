import type { Random } from "../../sim/random.ts";
import type { Call } from "./trace.ts";

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly size: number };

/** A file's content: what is certainly on the disk, and what was asked since its last sync. */
interface Node {
  durable: Content;
  pending: Change[];
}

/** Disks write such pieces whole or not at all. */
const sectorBytes = 512;

/**
 * What a disk may hold when the power goes. Writes since the last sync of their file are there, are not, or are there in
 * parts; names since the last sync of their directory are as they were after any of the changes. Nothing else is taken
 * for granted: a file's sync does not make its name durable.
 */
export class Disk {
  #names = new Map<string, Node>();
  #durableNames = new Map<string, Node>();
  #pendingNames: Map<string, Node>[] = [];

  apply(call: Exclude<Call, { readonly do: "say" }>): void {
    switch (call.do) {
      case "create":
        if (!this.#names.has(call.file)) this.#rename(call.file, { durable: new Content(), pending: [] });
        return;
      case "unlink":
        return this.#rename(call.file, undefined);
      case "write":
      case "truncate":
        return void this.#node(call.file).pending.push(call);
      case "sync": {
        const node = this.#node(call.file);
        for (const change of node.pending) node.durable.apply(change);
        node.pending = [];
        return;
      }
      case "sync-directory":
        this.#durableNames = this.#names;
        this.#pendingNames = [];
    }
  }
  #rename(file: string, node: Node | undefined): void {
    this.#names = new Map(this.#names);
    if (node === undefined) this.#names.delete(file);
    else this.#names.set(file, node);
    this.#pendingNames.push(this.#names);
  }
  #node(file: string): Node {
    const node = this.#names.get(file);
    if (node === undefined) throw new Error(`${file} is written and was not made`);
    return node;
  }

  /** The files as they may be found after the power went now. */
  image(random: Random): ReadonlyMap<string, Buffer> {
    const mood = random.pick(["all", "none", "some", "some", "torn", "torn"] as const);
    const states = [this.#durableNames, ...this.#pendingNames];
    const names = mood === "all" ? states.at(-1) : mood === "none" ? states[0] : random.pick(states);
    const image = new Map<string, Buffer>();
    for (const [file, { durable, pending }] of names ?? []) {
      const content = durable.copy();
      for (const change of pending) for (const part of survivors(change, mood, random)) content.apply(part);
      image.set(file, content.bytes());
    }
    return image;
  }
}

function survivors(change: Change, mood: "all" | "none" | "some" | "torn", random: Random): readonly Change[] {
  if (mood === "all") return [change];
  if (mood === "none") return [];
  if (mood === "some" || "size" in change || random.chance(0.5)) return random.chance(0.5) ? [change] : [];
  const parts: Change[] = [];
  let from = 0;
  while (from < change.bytes.length) {
    const to = Math.min(change.bytes.length, from + sectorBytes - ((change.at + from) % sectorBytes));
    if (random.chance(0.5)) parts.push({ at: change.at + from, bytes: change.bytes.subarray(from, to) });
    from = to;
  }
  return parts;
}

/** Bytes that grow. */
class Content {
  #bytes = Buffer.alloc(0);
  #size = 0;

  apply(change: Change): void {
    if ("size" in change) return this.#resize(change.size);
    const end = change.at + change.bytes.length;
    if (end > this.#size) this.#resize(end);
    change.bytes.copy(this.#bytes, change.at);
  }
  #resize(size: number): void {
    if (size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(size, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    if (size < this.#size) this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }
  copy(): Content {
    const other = new Content();
    other.#bytes = Buffer.from(this.bytes());
    other.#size = this.#size;
    return other;
  }
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }
}
