import type { Entering, Entry } from "../../engine/register.ts";
import { Facts } from "./facts.ts";
import type { Store } from "./store.ts";

/** What is kept by name. */
export class Register {
  readonly #store: Store;
  readonly #facts: Facts;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#facts = new Facts(store, options);
  }

  async entries(kind: string): Promise<readonly Entry[]> {
    const text = this.#store.sql("SELECT name, body FROM S.entry WHERE kind = $1 ORDER BY name");
    const rows = await this.#store.read((run) => run<[string, string]>(text, [kind]));
    return rows.map(([name, body]) => ({ name, body }));
  }

  enter({ kind, name, seen, body, events }: Entering): Promise<boolean> {
    return this.#facts.move(events, ...statement(kind, name, seen, body));
  }
}

/** Answers one row where what was seen stands there. */
function statement(
  kind: string,
  name: string,
  seen: string | undefined,
  body: string | undefined,
): [text: string, values: readonly string[]] {
  if (seen === undefined && body === undefined)
    return ["SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM S.entry WHERE kind = $1 AND name = $2)", [kind, name]];
  if (seen === undefined)
    return [
      "INSERT INTO S.entry(kind, name, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
      [kind, name, body!],
    ];
  if (body === undefined)
    return ["DELETE FROM S.entry WHERE kind = $1 AND name = $2 AND body = $3 RETURNING 1", [kind, name, seen]];
  return [
    "UPDATE S.entry SET body = $4 WHERE kind = $1 AND name = $2 AND body = $3 RETURNING 1",
    [kind, name, seen, body],
  ];
}
