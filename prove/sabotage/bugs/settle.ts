import type { Bug } from "../bug.ts";

const sqlite = "src/engines/sqlite";

/** The settle: its fence, its one transaction, how far it passes. */
export const settleBugs: readonly Bug[] = [
  {
    name: "fence without token",
    what: "a session that holds a slot records under any token it ever had",
    layer: "random walk",
    edits: [
      {
        file: `${sqlite}/record.ts`,
        find: "AND token = ? AND session = ?",
        replace: "AND ? > 0 AND session = ?",
      },
      { file: `${sqlite}/record.ts`, find: "AND token = ?13", replace: "AND ?13 > 0" },
    ],
  },
  {
    name: "fence without session row",
    what: "whoever knows the token records, and no session row is asked for",
    layer: "conformance",
    edits: [
      { file: `${sqlite}/record.ts`, find: "AND token = ? AND session = ?", replace: "AND token = ? AND ? > 0" },
      {
        file: `${sqlite}/record.ts`,
        find: "AND EXISTS(SELECT 1 FROM factlog_session WHERE id = factlog_slot.session)",
        replace: "",
      },
      { file: `${sqlite}/record.ts`, find: "AND session = ?14", replace: "AND ?14 > 0" },
      {
        file: `${sqlite}/record.ts`,
        find: "AND EXISTS(SELECT 1 FROM factlog_session WHERE id = ?14)",
        replace: "",
      },
      {
        file: `${sqlite}/record.ts`,
        find: "mine && this.#sql.isAlive.get(session) !== undefined",
        replace: "mine",
      },
    ],
  },
  {
    name: "progress before effect",
    what: "progress is committed, and the effects of what it closes in the next transaction",
    layer: "exhaustive",
    edits: [
      {
        file: `${sqlite}/record.ts`,
        find: "if (effects.length > 0) this.#effects.apply(lease.sub, effects);",
        replace: `if (effects.length > 0) {
      const apply = (): void => this.#effects.apply(lease.sub, effects);
      this.#store.write(apply, { full: true }).catch(() => undefined);
    }`,
      },
    ],
  },
  {
    name: "progress and rows in two commits",
    what: "progress is committed, and the rows of what it passes in the next transaction",
    layer: "random walk",
    quick: true,
    edits: [
      {
        file: `${sqlite}/record.ts`,
        find: "for (const row of insert) this.#rows.insert(lease, session, row);",
        replace: `const insertAll = (): void => {
      this.#counters.begin();
      for (const row of insert) this.#rows.insert(lease, session, row);
      this.#counters.flush();
    };
    if (insert.length > 0) this.#store.write(insertAll, { full: true }).catch(() => undefined);`,
      },
    ],
  },
  {
    name: "`low` passes an open gap",
    what: "progress passes the oldest delivery that is still open",
    layer: "crash loop",
    edits: [
      {
        file: "src/runtime/slot-work.ts",
        find: "oldest.event.position - 1",
        replace: "oldest.event.position",
      },
    ],
  },
  {
    name: "emit outside the settle's transaction",
    what: "an emitted event is appended when it is emitted, whatever becomes of the attempt",
    layer: "runtime tests",
    quick: true,
    edits: [
      {
        file: "src/runtime/context.ts",
        find: "this.#emits.push(this.#encode(event, options));",
        replace: "this.#host.announce(this.#delivery, this.#encode(event, options)).catch(() => undefined);",
      },
    ],
  },
  {
    name: "emit id by ordinal",
    what: "the id of an emitted event hangs on how many were stated before it, not on its name and type",
    layer: "runtime tests",
    edits: [
      {
        file: "src/runtime/context.ts",
        find: "options.name ?? this.#occurrence(event.type)",
        replace: `this.#occurrence("")`,
      },
    ],
  },
];
