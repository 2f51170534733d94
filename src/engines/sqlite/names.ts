import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Database } from "./database.ts";

/** What an event says of its type and schema, stored once: a row of `factlog_schema`. */
export interface Schema {
  readonly id: number;
  readonly typeId: number;
  readonly type: string;
  readonly version: number;
  readonly fingerprint: string;
  readonly plain: boolean;
}

/**
 * What repeats in events (sources, types, schemas) and the small numbers that stand for it in their rows, kept in
 * memory. New ones are stored by the transaction that meets them first; where that comes to nothing, `forget` drops them.
 */
export class Names {
  readonly #sql;
  readonly #sources = new Map<string, number>();
  readonly #sourceNames = new Map<number, string>();
  readonly #types = new Map<string, number>();
  /** By type: the schema met last, first. */
  readonly #schemas = new Map<string, Schema[]>();
  readonly #schemasById: Schema[] = [];
  /** The open transaction has stored some. */
  #added = false;

  constructor(db: Database) {
    this.#sql = {
      sources: db.prepare<[number, string]>("SELECT id, name FROM factlog_source"),
      types: db.prepare<[number, string]>("SELECT id, name FROM factlog_type"),
      schemas: db.prepare<[number, number, string, number, string, number]>(
        "SELECT s.id, s.type, t.name, s.version, s.fingerprint, s.plain FROM factlog_schema s JOIN factlog_type t ON t.id = s.type",
      ),
      addSource: db.prepare("INSERT INTO factlog_source(name) VALUES (?) ON CONFLICT DO NOTHING"),
      addType: db.prepare("INSERT INTO factlog_type(name) VALUES (?) ON CONFLICT DO NOTHING"),
      addSchema: db.prepare(
        "INSERT INTO factlog_schema(type, version, fingerprint, plain) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
      ),
    };
    this.#load();
  }

  /** Number of a source; stored if it is new. */
  sourceId(name: string): number {
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
    this.#added = true;
    this.#sql.addSource.run(name);
    this.#load();
    return this.#sources.get(name)!;
  }

  /** The schema row of an event; stored if it is new. */
  schemaOf(event: EncodedEvent): Schema {
    const known = this.#schemas.get(event.type);
    if (known !== undefined) {
      for (const schema of known) if (isOf(schema, event)) return schema;
    }
    this.#added = true;
    this.#sql.addType.run(event.type);
    this.#load();
    this.#sql.addSchema.run(this.#types.get(event.type)!, event.version, event.schema, event.plain ? 1 : 0);
    this.#load();
    return this.#schemas.get(event.type)!.find((schema) => isOf(schema, event))!;
  }

  /** What a row's number stands for. Another process may have stored it a moment ago. */
  sourceName(id: number): string {
    const known = this.#sourceNames.get(id);
    if (known !== undefined) return known;
    this.#load();
    return this.#sourceNames.get(id)!;
  }

  schema(id: number): Schema {
    const known = this.#schemasById[id];
    if (known !== undefined) return known;
    this.#load();
    return this.#schemasById[id]!;
  }

  typeId(name: string): number | undefined {
    return this.#types.get(name);
  }

  /** After COMMIT: what was added stays. */
  keep(): void {
    this.#added = false;
  }

  /** After a rollback, of the transaction or to a savepoint: drops what it had stored. */
  forget(): void {
    if (!this.#added) return;
    this.#sources.clear();
    this.#sourceNames.clear();
    this.#types.clear();
    this.#schemas.clear();
    this.#schemasById.length = 0;
    this.#load();
  }

  #load(): void {
    for (const [id, name] of this.#sql.sources.all()) {
      this.#sources.set(name, id);
      this.#sourceNames.set(id, name);
    }
    for (const [id, name] of this.#sql.types.all()) this.#types.set(name, id);
    for (const [id, typeId, type, version, fingerprint, plain] of this.#sql.schemas.all()) {
      if (this.#schemasById[id] !== undefined) continue;
      const schema = { id, typeId, type, version, fingerprint, plain: plain === 1 };
      this.#schemasById[id] = schema;
      const same = this.#schemas.get(type);
      if (same === undefined) this.#schemas.set(type, [schema]);
      else same.unshift(schema);
    }
  }
}

function isOf(schema: Schema, event: EncodedEvent): boolean {
  return schema.version === event.version && schema.fingerprint === event.schema && schema.plain === event.plain;
}
