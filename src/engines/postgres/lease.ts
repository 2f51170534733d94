import type { LeaseRequest, LeaseState, Served, SessionView } from "../../engine/ledger.ts";
import type { Store } from "./store.ts";

/** What the function `lease` says. */
interface Told {
  readonly sessions: readonly (readonly [id: number, beat: number, leaseMs: number, serves: string, gone: boolean])[];
  readonly held: readonly (readonly [sub: number, gen: number, slot: number, token: number])[];
  readonly subscriptions: readonly (readonly [sub: number, gen: number, newest: number, stopped: boolean])[];
}

/** Join, beat, declare dead, give back, take, leave: one round trip, and one to the hub where a session begins or ends. */
export async function lease(store: Store, request: LeaseRequest): Promise<LeaseState> {
  const joins = request.session === undefined;
  const session = request.session ?? (await join(store));
  const { leaseMs, serves, dead, crashDueMs, giveBack, release, want, leave = false } = request;
  const quiet = dead.length + giveBack.length + release.length + want.length === 0 && !leave;
  const fields = {
    joins,
    quiet,
    leaseMs,
    serves: JSON.stringify(serves),
    dead,
    crashDueMs,
    giveBack,
    release,
    want,
    leave,
  };
  const values = [session, JSON.stringify(fields), store.hub.server, store.env.now()];
  const text = store.sql("SELECT S.lease($1, $2, $3, $4)");
  try {
    // Made again where the connection was lost: all it does is to bring about a state, but for a beat too many.
    const rows = await store.repeat(store.writes, (run) => run<[string]>(text, values, "lease"));
    if (leave) await store.hub.drop(session);
    return toState(session, JSON.parse(rows[0]![0]) as Told);
  } catch (error) {
    if (joins || isGone(error)) await store.hub.drop(session);
    throw error;
  }
}

const isGone = (error: unknown): boolean => (error as { code?: unknown } | undefined)?.code === "LEASE_LOST";

/** The lock is there before anyone can see the session. */
async function join(store: Store): Promise<number> {
  const text = store.sql("SELECT nextval('S.session_id')");
  // A session that is not there any more may be one of a log that was restored under the connection.
  const [row] = await store.repeat(store.writes, async (run) => {
    await store.requireSameLife(run);
    return run<[number]>(text);
  });
  await store.hub.hold(row![0]);
  return row![0];
}

function toState(session: number, told: Told): LeaseState {
  return {
    session,
    sessions: told.sessions.map(([id, beat, leaseMs, serves, gone]): SessionView => ({
      session: id,
      beat,
      leaseMs,
      serves: JSON.parse(serves) as Served[],
      gone,
    })),
    held: told.held.map(([sub, gen, slot, token]) => ({ sub, gen, slot, token })),
    subscriptions: told.subscriptions.map(([sub, gen, revision, stopped]) => ({
      sub,
      gen,
      revision,
      state: stopped ? "stopped" : "active",
    })),
  };
}
