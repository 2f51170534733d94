import type { Bug } from "../bug.ts";

const sqlite = "src/engines/sqlite";

/** Rows of deliveries: the order of a key, retries, and what operators do. */
export const rowBugs: readonly Bug[] = [
  {
    name: "a lane not turned into held rows",
    what: "when a delivery fails, what waits behind it in memory goes on past its row",
    layer: "simulation",
    quick: true,
    edits: [
      {
        file: "src/runtime/settlements.ts",
        find: "if (row.holds && lane !== undefined) {",
        replace: `if (row.holds && lane !== undefined && row.state !== "retrying") {`,
      },
    ],
  },
  {
    name: "held decided from memory",
    what: "a process holds rows back behind one that it remembers, although another process has closed that",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/rows.ts`,
        find: "  readonly #counters: Counters;\n",
        replace: "  readonly #counters: Counters;\n  readonly #heads = new Map<string, number>();\n",
      },
      {
        file: `${sqlite}/rows.ts`,
        find: "if (row.failure !== undefined) this.remember(ref, row.failure);",
        replace: `if (row.failure !== undefined) this.remember(ref, row.failure);
    const name = \`\${slot.sub} \${slot.gen} \${slot.slot} \${row.key}\`;
    if (row.holds) this.#heads.set(name, Math.min(row.position, this.#heads.get(name) ?? row.position));`,
      },
      {
        file: `${sqlite}/rows.ts`,
        find: "if (head === undefined || head[1] !== stateNumber.held) return false;",
        replace: `const name = \`\${slot.sub} \${slot.gen} \${slot.slot} \${key}\`;
    if (head === undefined) this.#heads.delete(name);
    else this.#heads.set(name, head[0]);
    if (head === undefined || head[1] !== stateNumber.held) return false;`,
      },
      {
        file: `${sqlite}/rows.ts`,
        find: "return this.#sql.isBehind.get(",
        replace: `const known = this.#heads.get(\`\${ref.sub} \${ref.gen} \${ref.slot} \${key}\`);
    if (known !== undefined && known < ref.position) return true;
    return this.#sql.isBehind.get(`,
      },
    ],
  },
  {
    name: "next of a key ready before the head is closed",
    what: "the first row that is held becomes ready, although a dead one before it holds the key",
    layer: "simulation",
    edits: [
      {
        file: `${sqlite}/rows.ts`,
        find: "const head = this.#sql.head.get(slot.sub, slot.gen, slot.slot, key);",
        replace: `const firsts = this.#sql.firsts.all(slot.sub, slot.gen, slot.slot, key);
    const head = firsts.find(([, state]) => state === stateNumber.held);`,
      },
    ],
  },
  {
    name: "retry forgotten over a restart",
    what: "whoever takes a slot counts the attempts of its retrying rows from the beginning",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/lease.ts`,
        find: "    isNewest: db.prepare(",
        replace: `    forget: db.prepare(
      \`UPDATE factlog_delivery SET failures = 0 WHERE sub = ?1 AND gen = ?2 AND state = 3 AND slot IN
         (SELECT slot FROM factlog_slot WHERE sub = ?1 AND gen = ?2 AND session = ?3)\`,
    ),
    isNewest: db.prepare(`,
      },
      {
        file: `${sqlite}/lease.ts`,
        find: "if (missing > 0) this.#sql.take.run(session, sub, gen, missing);",
        replace: `if (missing <= 0) return;
    this.#sql.take.run(session, sub, gen, missing);
    this.#sql.forget.run(sub, gen, session);`,
      },
    ],
  },
  {
    name: "redrive without compare-and-set",
    what: "a redrive takes the row as it is, whatever the operator had seen",
    layer: "conformance",
    edits: [
      {
        file: `${sqlite}/command.ts`,
        find: `if (row.state === "dead" && row.token === rowToken) return row;`,
        replace: "if (rowToken > 0) return row;",
      },
    ],
  },
  {
    name: "redrive in a new scope",
    what: "a delivery that is redriven has other idempotency keys and emits other ids",
    layer: "runtime tests",
    edits: [
      {
        file: `${sqlite}/rows.ts`,
        find: "failures = 0, crashes = 0, redriven = 1",
        replace: "failures = 0, crashes = 0, scope = scope + 1, redriven = 1",
      },
    ],
  },
];
