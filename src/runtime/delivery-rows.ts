import type { Engine } from "../engine/engine.ts";
import type { DeliveryRow, Ledger, RowState } from "../engine/ledger.ts";
import { limits } from "../limits.ts";

/** All rows of a subscription in a state, and of a key where one is named, ascending by slot and position: a page at a time. */
export async function* rowsIn(
  ledger: Ledger,
  sub: number,
  state: RowState,
  only: { readonly key?: string } = {},
): AsyncGenerator<DeliveryRow> {
  let after: DeliveryRow | undefined;
  for (;;) {
    const rows = await ledger.deliveries({
      kind: "state",
      state,
      sub,
      limit: limits.duePageRows,
      ...(only.key === undefined ? {} : { key: only.key }),
      ...(after === undefined ? {} : { after }),
    });
    yield* rows;
    after = rows.at(-1);
    if (rows.length < limits.duePageRows) return;
  }
}

export interface DeadRowFilter {
  readonly key?: string;
  readonly group?: string;
  readonly type?: string;
  readonly fingerprint?: string;
}
/** The dead letters of a subscription that the filter leaves. */
export async function* deadRows(
  { log, ledger }: Engine,
  sub: number,
  filter: DeadRowFilter,
): AsyncGenerator<DeliveryRow> {
  const only = filter.key === undefined ? {} : { key: filter.key };
  for await (const row of rowsIn(ledger, sub, "dead", only)) {
    if (filter.fingerprint !== undefined && row.failure?.fingerprint !== filter.fingerprint) continue;
    if (filter.type !== undefined || filter.group !== undefined) {
      const stored = row.event ?? (await log.fetch([{ slot: row.eventSlot, position: row.position }]))[0];
      if (filter.type !== undefined && stored?.type !== filter.type) continue;
      if (filter.group !== undefined && stored?.group !== filter.group) continue;
    }
    yield row;
  }
}
