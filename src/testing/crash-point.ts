import { AsyncLocalStorage } from "node:async_hooks";

/** A simulated process: counts the points at which it may die, and dies at one of them. */
export class DoomedProcess {
  readonly points: string[] = [];
  readonly #dieAt: number;
  readonly #die: () => void;
  alive = true;

  /** `dieAt`: number of the point, from 0; -1: never. */
  constructor(dieAt: number, die: () => void) {
    this.#dieAt = dieAt;
    this.#die = die;
  }
  /** Whether the process goes on beyond this point. */
  pass(label: string): boolean {
    if (!this.alive) return false;
    this.points.push(label);
    if (this.points.length - 1 !== this.#dieAt) return true;
    this.alive = false;
    this.#die();
    return false;
  }
}

/** The simulated process that the running code belongs to. */
export const doomed: AsyncLocalStorage<DoomedProcess> = new AsyncLocalStorage();

/** A point at which the process may die: a dead process never comes back from it. */
export function crashPoint(label: string): Promise<void> {
  const process = doomed.getStore();
  if (process === undefined || process.pass(label)) return Promise.resolve();
  return new Promise(() => {});
}

/** The same in code that cannot wait: what follows in a dead process is cut off by a throw. */
export function crashPointNow(label: string): void {
  const process = doomed.getStore();
  if (process !== undefined && !process.pass(label)) throw new Error(`the process died ${label}`);
}
