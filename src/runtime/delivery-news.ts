import type { StepRecord } from "../engine/journal.ts";
import type { DeliveryRow, Ledger } from "../engine/ledger.ts";
import { deadLetterId } from "./dead-letter-id.ts";
import type { Frame } from "./follow.ts";
import type { Outstanding, Standing } from "./outstanding.ts";

type News = Extract<Frame<never>, { readonly kind: "delivery" }>;

interface Known {
  readonly subscription: string;
  readonly eventId: string;
  readonly status: "dead" | "waiting";
  readonly reason: string;
  /** Of the row when it was looked at: what has moved on has another. */
  readonly rowToken: number;
}

/** What became of deliveries between one look and the next. */
export class DeliveryNews {
  readonly #ledger: Ledger;
  #known: ReadonlyMap<string, Known> = new Map();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  async since({ dead, waiting }: Outstanding): Promise<readonly News[]> {
    const now = new Map<string, Known>();
    for (const each of dead) now.set(idOf(each), deadOf(each));
    for (const each of waiting) now.set(idOf(each), await this.#waitingOf(each));
    const before = this.#known;
    this.#known = now;
    const over = [...before].filter(([id]) => !now.has(id)).map(([id, known]) => resumed(id, known));
    const news = [...now].filter(([id, { status, reason }]) => {
      const known = before.get(id);
      return known === undefined || known.status !== status || known.reason !== reason;
    });
    return [
      ...news.map(([, { subscription, eventId, status, reason }]): News => {
        return { kind: "delivery", subscription, eventId, status, reason };
      }),
      ...over,
    ];
  }

  async #waitingOf({ subscription, row }: Standing): Promise<Known> {
    const { eventId, rowToken } = row;
    const known = this.#known.get(idOf({ subscription, row }));
    if (known?.status === "waiting" && known.rowToken === rowToken) return known;
    const steps = await this.#ledger.steps(row, row.scope);
    return { subscription, eventId, status: "waiting", reason: reasonOf(row, steps), rowToken };
  }
}

const idOf = ({ subscription, row }: Standing): string => deadLetterId(subscription, row);

function deadOf({ subscription, row }: Standing): Known {
  const { eventId, rowToken, failure } = row;
  const why = failure?.error.split("\n")[0] ?? failure?.class ?? "unknown";
  return { subscription, eventId, status: "dead", reason: `${deadLetterId(subscription, row)}: ${why}`, rowToken };
}

function resumed(id: string, { subscription, eventId, status }: Known): News {
  const reason = status === "dead" ? `${id} was redriven or discarded` : "what it waited for is over";
  return { kind: "delivery", subscription, eventId, status: "resumed", reason };
}

/** Of several waits, the one that tells most: a person, a fact, time. */
function reasonOf({ dueMs }: DeliveryRow, steps: readonly StepRecord[]): string {
  const waits = steps.flatMap(({ state, wait }) => (state === "waiting" && wait !== undefined ? [wait] : []));
  const approval = waits.find(({ kind }) => kind === "approval");
  if (approval !== undefined) return `approval: ${summaryIn(approval.about)}`;
  const event = waits.find(({ kind }) => kind === "event");
  if (event !== undefined) return `event: ${event.types.join(" or ")}`;
  return `sleep: until ${dueMs === undefined ? "it is woken" : new Date(dueMs).toISOString()}`;
}

const summaryIn = (about: string | undefined): string =>
  (JSON.parse(about ?? "{}") as { readonly summary?: string }).summary ?? "";
