/** Number of a slot, 0 to the log's slot count - 1. */
export type Slot = number;
/** Place of an event: a safe integer >= 1, increasing in commit order within a slot; 0 stands before all events. */
export type PositionNumber = number;

/** An event in the form in which it is appended: validated, encoded, checksummed. Made by `encodeEvent`. */
export interface EncodedEvent {
  readonly source: string;
  readonly id: string;
  readonly type: string;
  readonly key: string | undefined;
  readonly group: string | undefined;
  /** When it happened, by the publisher: CloudEvents `time`, milliseconds since 1970. */
  readonly timeMs: number;
  /** JSON text of the attributes nobody searches by; "" where all have their defaults. See `envelope.ts`. */
  readonly attributes: string;
  /** JSON text as given: the schema's input. */
  readonly data: string;
  /** Version of the wire form. */
  readonly version: number;
  /** Fingerprint of the schema that accepted the data; "" where the schema has no JSON Schema. */
  readonly schema: string;
  /** The schema gave back what it was given, so a reader with the same fingerprint need not run it again. */
  readonly plain: boolean;
  /** crc32 over all of the above but `schema` and `plain`: see `checksum` in `codec.ts`. */
  readonly crc: number;
}

/** A fact: an encoded event with its place. Never changed. */
export interface StoredEvent extends EncodedEvent {
  readonly slot: Slot;
  readonly position: PositionNumber;
  /** When it was appended, by the log, milliseconds since 1970. */
  readonly recordedMs: number;
}
