import type { Entry, Register } from "../engine/register.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";

/** What takes an entry's place, and the facts that tell of it. `body` undefined: it is removed. */
export interface Moved {
  readonly body: string | undefined;
  readonly events: readonly EncodedEvent[];
}

/**
 * Moves an entry on from whatever stands there: again where somebody else was quicker. `to` gets the body that stands (undefined:
 * none) and all entries of the kind; it answers undefined where all is to stay as it is, and may throw. Whether it was moved.
 * Throws CONFLICT where others are quicker all the time.
 */
export async function moveEntry(
  register: Register,
  kind: string,
  name: string,
  to: (seen: string | undefined, all: readonly Entry[]) => Moved | undefined,
): Promise<boolean> {
  for (let tries = 0; tries < limits.entryTriesMax; tries++) {
    const all = await register.entries(kind);
    const seen = all.find((entry) => entry.name === name)?.body;
    const moved = to(seen, all);
    if (moved === undefined) return false;
    if (await register.enter({ kind, name, seen, ...moved })) return true;
  }
  throw new FactlogError("CONFLICT", `${kind} ${name} is moved by others all the time: try again.`, {
    retryable: true,
  });
}
