import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** One call that a service outside has got. */
export interface ReceivedCall {
  readonly service: string;
  readonly orderId: string;
  readonly key: string;
  readonly pid: number;
}

const fileOf = (folder: string): string => join(folder, "received.ndjson");

/** Stands for a service outside: writes down what it was told, on the disk before it answers, and weeds out nothing. */
export function call(folder: string, given: Omit<ReceivedCall, "pid">): void {
  const file = openSync(fileOf(folder), "a");
  writeSync(file, `${JSON.stringify({ ...given, pid: process.pid })}\n`);
  fsyncSync(file);
  closeSync(file);
}

export function received(folder: string): readonly ReceivedCall[] {
  if (!existsSync(fileOf(folder))) return [];
  const lines = readFileSync(fileOf(folder), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as ReceivedCall);
}
