import type { HorizonState } from "../../engine/engine.ts";
import type { Run } from "./connection.ts";

/** Beyond either dead versions of rows pile up behind an open transaction. */
const usual = { behindMax: 10_000_000, openMaxMs: 300_000 };

/**
 * What keeps vacuum from cleaning tables of this database: transactions in it, prepared ones, and replication slots and
 * standbys that ask for it. A transaction that has written holds it by its number, also between its statements. Of
 * other roles' transactions a role without pg_read_all_stats sees the numbers, not since when.
 */
const text = `
  SELECT coalesce(age, 0), coalesce(open_ms, 0)::float8, who FROM (
    SELECT greatest(age(backend_xmin), age(backend_xid)) AS age,
      CASE WHEN backend_type = 'client backend' THEN extract(epoch FROM clock_timestamp() - xact_start) * 1000 END AS open_ms,
      format('%s (pid %s, %s)', coalesce(nullif(application_name, ''), backend_type, 'a backend'), pid, coalesce(state, backend_type, 'of another role')) AS who
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (datname = current_database() OR backend_type = 'walsender')
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR state <> 'idle')
    UNION ALL
    SELECT age(transaction), extract(epoch FROM clock_timestamp() - prepared) * 1000, format('the prepared transaction %L', gid)
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT age(xmin), NULL, format('the replication slot %L', slot_name) FROM pg_replication_slots WHERE xmin IS NOT NULL
  ) all_of_them`;

export async function horizonOf(run: Run, { behindMax, openMaxMs } = usual): Promise<HorizonState> {
  const rows = await run<[number, number, string]>(text);
  const behind = Math.max(0, ...rows.map(([age]) => age));
  const openMs = Math.max(0, ...rows.map(([, open]) => open));
  const worst = rows.find(([age, open]) => (behind > behindMax ? age === behind : open === openMs));
  return { behind, openMs, by: worst?.[2], ok: behind <= behindMax && openMs <= openMaxMs };
}
