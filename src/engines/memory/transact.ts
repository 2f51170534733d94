import { FactlogError } from "../../errors.ts";
import type { TransactionSource } from "../../app/store.ts";
import { firstRowToken } from "../../engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../../engine/transact.ts";
import { enact, leasedSlot, refusalOf, runningRow } from "./record.ts";
import type { Context } from "./facts.ts";
import { slotRowOf, type SlotRow } from "./store.ts";

/** Only transactions of its own kind, which write nothing: the settle and its effects are all there is. */
export function bind(source: TransactionSource): void {
  if (source.dialect === "memory") return;
  throw new FactlogError(
    "NOT_SUPPORTED",
    `the memory engine has no SQL, so no ${source.name}: use an SQLite or a PostgreSQL log, or ctx.state and ctx.emit.`,
  );
}

export async function transact(context: Context, session: number, request: Transact): Promise<Transacted> {
  bind(request.source);
  try {
    return settle(context, session, await request.run(undefined));
  } catch (error) {
    return { status: "failed", error };
  }
}

function settle(context: Context, session: number, settles: readonly OwnSettle[]): Transacted {
  const wanted: { readonly slot: SlotRow; readonly own: OwnSettle }[] = [];
  for (const own of settles) {
    const { lease, position } = own;
    const slot = slotRowOf(context.store, lease);
    if (slot === undefined || !isMine(context, slot, session, own)) return { status: "lost", position };
    if (slot.settled.has(position)) return { status: "stood", position };
    wanted.push({ slot, own });
  }
  const effects = settles.flatMap((own) => own.effects ?? []);
  const refused = refusalOf(context, effects)?.refused;
  if (refused !== undefined) return { status: "failed", error: refused.error };
  for (const { slot, own } of wanted) {
    enact(context, slot, own.effects === undefined ? [] : [own.effects]);
    slot.settled.add(own.position);
  }
  return { status: "settled" };
}

function isMine({ store }: Context, slot: SlotRow, session: number, own: OwnSettle): boolean {
  const { lease, position, rowToken } = own;
  if (slot.rows.has(position)) {
    return runningRow(store, session, { ...lease, position }, rowToken ?? firstRowToken) !== undefined;
  }
  return leasedSlot(store, session, lease) !== undefined && rowToken === undefined && slot.low < position;
}
