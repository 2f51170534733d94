import type { Definition, SqlStatement } from "./ledger.ts";

/**
 * Of the ledger: tables of projections. A projection has one generation that is live, whose tables its views show, and at
 * most one that is being filled beside it; each is a subscription of its own. The live one bears the projection's name;
 * the other one is called `generationName(...)` until it takes its place. Without `capabilities.writes` all but
 * `projections` (which is empty) are refused with NOT_SUPPORTED.
 */
export interface Projections {
  /** All generations, by name and generation. */
  projections(): Promise<readonly Generation[]>;

  /** What a table of a generation is called. "create": within its `create` statements; "use": everywhere else. */
  tableName(table: string, generation: number, within: "create" | "use"): string;

  /** One act, whole or not at all. See `GenerationAct`. Answers the seal of a freeze, else 0. */
  generation(act: GenerationAct): Promise<number>;

  /** A read of the user's, of one moment; views by their plain names. Refuses whatever would change something. */
  query(statement: SqlStatement): Promise<readonly Record<string, unknown>[]>;
}

export interface Generation {
  readonly name: string;
  readonly generation: number;
  readonly version: number;
  readonly tables: readonly string[];
  /** The text of its `create`, by which a change without a new version is known. */
  readonly shape: string;
  readonly live: boolean;
  /** Of the live one: an operator asks for a generation of at least this number. 0: nobody does. */
  readonly wanted: number;
  readonly sub: number;
  readonly gen: number;
}

export type GenerationAct =
  /**
   * Makes the generation: its tables, its subscription from the beginning of the log, and, where it is the first of the
   * name, the views. Another one that was being filled goes. CONFLICT where the newest generation is not `after` (0:
   * none), or a table or view of one of the names is there already; what `create` throws goes on as it is. Nothing is
   * changed then.
   */
  | {
      readonly kind: "begin";
      readonly name: string;
      readonly after: number;
      readonly version: number;
      readonly tables: readonly string[];
      readonly shape: string;
      readonly create: readonly SqlStatement[];
      readonly definition: Definition;
    }
  /**
   * The live generation stands still: nobody holds its slots, and nobody gets them, until it is thawed or another takes
   * its place. The seal is the same for as long as it stands still, and another after it has moved. Idempotent;
   * NOT_FOUND where `generation` is not the live one.
   */
  | { readonly kind: "freeze"; readonly name: string; readonly generation: number }
  /** The live generation goes on, if it stands still. */
  | { readonly kind: "thaw"; readonly name: string }
  /**
   * The views show this generation, which becomes the live one and takes the name; tables and subscription of the one
   * before are gone. CONFLICT where that one is not frozen under this seal; NOT_FOUND where `generation` is not being
   * filled.
   */
  | { readonly kind: "cut over"; readonly name: string; readonly generation: number; readonly seal: number }
  /** The generation that is being filled goes, and the live one is free again. NOT_FOUND where it is not there. */
  | { readonly kind: "abandon"; readonly name: string; readonly generation: number }
  /**
   * All of it goes: its views, its tables, and the subscriptions that are still there. CONFLICT where a view that is not
   * ours stands on them.
   */
  | { readonly kind: "forget"; readonly name: string }
  /** An operator asks for a new generation. CONFLICT where one is being filled; NOT_FOUND without the projection. */
  | { readonly kind: "want"; readonly name: string };

/** A session that is none: slots that it holds are nobody's, and are not free. */
export const frozenSession = 0;

/** What the subscription of a generation is called that is not live. */
export const generationName = (name: string, generation: number): string => `${name}@${generation}`;
