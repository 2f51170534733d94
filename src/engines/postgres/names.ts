import { assert } from "../../errors.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Run } from "./connection.ts";
import type { EventRow } from "./event-row.ts";
import { inSchema } from "./schema.ts";

/** What an event says of its type and schema, stored once: a row of `schema`. */
export interface Schema {
  readonly id: number;
  readonly type: string;
  readonly version: number;
  readonly fingerprint: string;
  readonly plain: boolean;
}

type Runner = <T>(work: (run: Run) => Promise<T>) => Promise<T>;

/**
 * What repeats in events (sources, types, schemas) and the small numbers that stand for it in their rows, kept in
 * memory. New ones are stored in a transaction of their own, before the events that need them; they stay for ever.
 */
export class Names {
  readonly #quoted: string;
  readonly #onConnection: Runner;
  readonly #sources = new Map<string, number>();
  readonly #sourceNames = new Map<number, string>();
  readonly #schemas = new Map<string, Schema>();
  readonly #schemasById = new Map<number, Schema>();

  constructor(quoted: string, onConnection: Runner) {
    this.#quoted = quoted;
    this.#onConnection = onConnection;
  }

  /** Makes the numbers of these events known; stores those that are new. Outside a transaction. */
  async ensure(run: Run, events: readonly EncodedEvent[]): Promise<void> {
    for (const event of events) {
      if (!this.#sources.has(event.source)) await this.#addSource(run, event.source);
      if (!this.#schemas.has(schemaKey(event))) await this.#addSchema(run, event);
    }
  }

  /** Makes the names of these rows known: another process may have stored them a moment ago. */
  async know(rows: readonly EventRow[]): Promise<void> {
    if (rows.every((row) => this.#sourceNames.has(row[1]) && this.#schemasById.has(row[3]))) return;
    await this.#onConnection((run) => this.load(run));
  }

  async load(run: Run): Promise<void> {
    for (const [id, name] of await run<[number, string]>(`SELECT id, name FROM ${this.#quoted}.source`)) {
      this.#keepSource(id, name);
    }
    const rows = await run<[number, string, number, string, boolean]>(
      inSchema(
        "SELECT s.id, t.name, s.version, s.fingerprint, s.plain FROM S.schema s JOIN S.type t ON t.id = s.type",
        this.#quoted,
      ),
    );
    for (const [id, type, version, fingerprint, plain] of rows) {
      this.#keepSchema({ id, type, version, fingerprint, plain });
    }
  }

  sourceId(name: string): number {
    return this.#sources.get(name)!;
  }

  schemaId(event: EncodedEvent): number {
    return this.#schemas.get(schemaKey(event))!.id;
  }

  sourceName(id: number): string {
    const name = this.#sourceNames.get(id);
    assert(name !== undefined, `there is no source ${id}`);
    return name;
  }

  schema(id: number): Schema {
    const schema = this.#schemasById.get(id);
    assert(schema !== undefined, `there is no schema ${id}`);
    return schema;
  }

  async #addSource(run: Run, name: string): Promise<void> {
    await run(`INSERT INTO ${this.#quoted}.source(name) VALUES ($1) ON CONFLICT DO NOTHING`, [name]);
    const [row] = await run<[number]>(`SELECT id FROM ${this.#quoted}.source WHERE name = $1`, [name]);
    this.#keepSource(row![0], name);
  }

  async #addSchema(run: Run, { type, version, schema: fingerprint, plain }: EncodedEvent): Promise<void> {
    const q = this.#quoted;
    await run(`INSERT INTO ${q}.type(name) VALUES ($1) ON CONFLICT DO NOTHING`, [type]);
    const values = [type, version, fingerprint, plain];
    await run(
      `INSERT INTO ${q}.schema(type, version, fingerprint, plain)
       SELECT id, $2, $3, $4 FROM ${q}.type WHERE name = $1 ON CONFLICT DO NOTHING`,
      values,
    );
    const [row] = await run<[number]>(
      `SELECT s.id FROM ${q}.schema s JOIN ${q}.type t ON t.id = s.type
       WHERE t.name = $1 AND s.version = $2 AND s.fingerprint = $3 AND s.plain = $4`,
      values,
    );
    this.#keepSchema({ id: row![0], type, version, fingerprint, plain });
  }

  #keepSource(id: number, name: string): void {
    this.#sources.set(name, id);
    this.#sourceNames.set(id, name);
  }

  #keepSchema(schema: Schema): void {
    this.#schemas.set(schemaKey({ ...schema, schema: schema.fingerprint }), schema);
    this.#schemasById.set(schema.id, schema);
  }
}

function schemaKey({
  type,
  version,
  schema,
  plain,
}: Pick<EncodedEvent, "type" | "version" | "schema" | "plain">): string {
  return `${plain ? "+" : "-"}${version} ${schema} ${type}`;
}
