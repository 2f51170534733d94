import type { Bug } from "../bug.ts";

const sqlite = "src/engines/sqlite";

/** What the log promises to those who append and read. */
export const logBugs: readonly Bug[] = [
  {
    name: "ack before commit",
    what: "members of a transaction are told that it is committed, and then it is",
    layer: "durability under strace",
    quick: true,
    edits: [
      {
        file: `${sqlite}/write-queue.ts`,
        find: `this.#db.exec("COMMIT");`,
        replace: `for (const write of done.splice(0)) write.committed();
      this.#db.exec("COMMIT");`,
      },
    ],
  },
  {
    name: "append under NORMAL",
    what: "appends are committed without a sync",
    layer: "power loss",
    edits: [{ file: `${sqlite}/append-group.ts`, find: "readonly full = true;", replace: "readonly full = false;" }],
  },
  {
    name: "known id stored again",
    what: "nothing holds (source, id) unique",
    layer: "simulation",
    edits: [
      {
        file: `${sqlite}/schema.ts`,
        find: "CREATE UNIQUE INDEX factlog_event_id",
        replace: "CREATE INDEX factlog_event_id",
      },
    ],
  },
  {
    name: "id conflict silently accepted",
    what: "other content under a known id is answered as a duplicate",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/append.ts`,
        find: "if (!sameContent(known, event)) throw idConflict(event, index);",
        replace: "",
      },
    ],
  },
  {
    name: "batch half appended",
    what: "a batch that is refused leaves behind what came before the refused event",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/append-group.ts`,
        find: `db.exec("ROLLBACK TO batch; RELEASE batch");`,
        replace: `db.exec("RELEASE batch");`,
      },
      { file: `${sqlite}/append-group.ts`, find: "appender.rewind(mark);", replace: "" },
    ],
  },
  {
    name: "page edge skips an event",
    what: "where a page is full, the event that no longer fits is passed over",
    layer: "engine tests",
    quick: true,
    edits: [
      {
        file: `${sqlite}/event-log.ts`,
        find: "if (events.length >= limit || walk.looks === 0) return;",
        replace: "",
      },
      {
        file: `${sqlite}/event-log.ts`,
        find: "walk.at = row[0];",
        replace: `walk.at = row[0];
      if (events.length >= limit || walk.looks === 0) return;`,
      },
    ],
  },
  {
    name: "`scannedTo` ahead of the truth",
    what: "a page says that it looked as far as the head, although it was full before",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/event-log.ts`,
        find: "Math.max(position, walk.at)",
        replace: "Math.max(position, this.#store.bell.head)",
      },
    ],
  },
  {
    name: "wake-up lost and no polling",
    what: "another process's bell is not heard, nobody looks at the head, and a wait has no end of its own",
    layer: "conformance",
    edits: [
      { file: `${sqlite}/bell.ts`, find: "() => this.#heardBell()", replace: "() => undefined" },
      {
        file: `${sqlite}/bell.ts`,
        find: "now ? undefined : this.#env.after(maxMs, finish, { upkeep: true })",
        replace: "undefined as Timer | undefined",
      },
      {
        file: `${sqlite}/bell.ts`,
        find: "this.#pollTimer = this.#env.after(waitMs, look, { upkeep: true });",
        replace: "",
      },
    ],
  },
];
