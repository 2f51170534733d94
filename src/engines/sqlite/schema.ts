/**
 * The file's tables, as data: version n of the format is what the first n steps make. A step is never changed once it
 * was released; a new format is a further step.
 *
 * Ids that are canonical UUIDs are stored as 16 bytes, others as text. What repeats (sources, types, schemas) is stored
 * once and pointed to. States of rows are numbers: see `rowStates`.
 */
export const steps: readonly string[] = [
  `
CREATE TABLE factlog_meta(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE factlog_source(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE factlog_type(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, appended INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE factlog_schema(
  id INTEGER PRIMARY KEY, type INTEGER NOT NULL, version INTEGER NOT NULL, fingerprint TEXT NOT NULL,
  plain INTEGER NOT NULL, UNIQUE(type, version, fingerprint, plain)) STRICT;
CREATE TABLE factlog_event(
  position INTEGER PRIMARY KEY, source INTEGER NOT NULL, id ANY NOT NULL, schema INTEGER NOT NULL,
  slot INTEGER NOT NULL, key TEXT, grp TEXT, time_ms REAL NOT NULL, recorded_ms REAL NOT NULL,
  attributes TEXT NOT NULL, data TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX factlog_event_id ON factlog_event(source, id);

CREATE TABLE factlog_session(
  id INTEGER PRIMARY KEY AUTOINCREMENT, beat INTEGER NOT NULL, lease_ms REAL NOT NULL, serves TEXT NOT NULL) STRICT;
CREATE TABLE factlog_subscription(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, gen INTEGER NOT NULL, newest INTEGER NOT NULL) STRICT;
CREATE TABLE factlog_revision(
  sub INTEGER NOT NULL, revision INTEGER NOT NULL, definition TEXT NOT NULL, PRIMARY KEY(sub, revision))
  STRICT, WITHOUT ROWID;
CREATE TABLE factlog_counted(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, type TEXT NOT NULL, since TEXT NOT NULL, baseline INTEGER NOT NULL,
  matched INTEGER NOT NULL, PRIMARY KEY(sub, gen, type)) STRICT, WITHOUT ROWID;
CREATE TABLE factlog_slot(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, slot INTEGER NOT NULL, token INTEGER NOT NULL DEFAULT 0, session INTEGER,
  low INTEGER NOT NULL, ranges TEXT NOT NULL DEFAULT '', claim INTEGER NOT NULL, suspect INTEGER NOT NULL DEFAULT 0,
  matched INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0,
  discarded INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0, duplicate INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(sub, gen, slot)) STRICT, WITHOUT ROWID;
CREATE INDEX factlog_slot_session ON factlog_slot(session, sub, gen, slot) WHERE session IS NOT NULL;

CREATE TABLE factlog_delivery(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, slot INTEGER NOT NULL, position INTEGER NOT NULL,
  event_slot INTEGER NOT NULL, key TEXT NOT NULL, holds INTEGER NOT NULL, state INTEGER NOT NULL, stop INTEGER NOT NULL,
  due_ms REAL, token INTEGER NOT NULL, session INTEGER, scope INTEGER NOT NULL, failures INTEGER NOT NULL,
  crashes INTEGER NOT NULL, redriven INTEGER NOT NULL, event_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
  at_ms REAL NOT NULL, event TEXT, PRIMARY KEY(sub, gen, slot, position)) STRICT, WITHOUT ROWID;
CREATE INDEX factlog_delivery_key ON factlog_delivery(sub, gen, slot, key, position) WHERE holds = 1;
CREATE INDEX factlog_delivery_due ON factlog_delivery(sub, gen, slot, due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX factlog_delivery_session ON factlog_delivery(session) WHERE session IS NOT NULL;
CREATE INDEX factlog_delivery_state ON factlog_delivery(state, sub, gen, slot, position) WHERE state > 0;
CREATE INDEX factlog_delivery_oldest ON factlog_delivery(sub, gen, at_ms) WHERE state < 4;
CREATE TABLE factlog_tally(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, state INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY(sub, gen, state)) STRICT, WITHOUT ROWID;
CREATE TABLE factlog_failure(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, slot INTEGER NOT NULL, position INTEGER NOT NULL, n INTEGER NOT NULL,
  at_ms REAL NOT NULL, class TEXT NOT NULL, fingerprint TEXT NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY(sub, gen, slot, position, n)) STRICT, WITHOUT ROWID;

CREATE TABLE factlog_state(
  sub INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(sub, key)) STRICT, WITHOUT ROWID;
CREATE TABLE factlog_seen(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, slot INTEGER NOT NULL, identity TEXT NOT NULL, at_ms REAL NOT NULL,
  PRIMARY KEY(sub, gen, slot, identity)) STRICT, WITHOUT ROWID;
CREATE INDEX factlog_seen_age ON factlog_seen(at_ms);
CREATE TABLE factlog_outbox(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, id TEXT NOT NULL, event TEXT NOT NULL,
  UNIQUE(source, id)) STRICT;
`,
  `
CREATE TABLE factlog_delayed(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, id TEXT NOT NULL, correlation_id TEXT NOT NULL,
  due_ms REAL NOT NULL, event TEXT NOT NULL, UNIQUE(source, id)) STRICT;
CREATE INDEX factlog_delayed_due ON factlog_delayed(due_ms);
CREATE INDEX factlog_delayed_correlation ON factlog_delayed(correlation_id);
CREATE TABLE factlog_schedule(name TEXT PRIMARY KEY, tick_ms REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE factlog_entry(
  kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(kind, name)) STRICT, WITHOUT ROWID;

ALTER TABLE factlog_delivery ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE factlog_delivery ADD COLUMN woken INTEGER NOT NULL DEFAULT 0;
ALTER TABLE factlog_delivery ADD COLUMN grp TEXT;
CREATE INDEX factlog_delivery_deferred ON factlog_delivery(sub, gen, grp, position) WHERE state = 5;
CREATE INDEX factlog_delivery_groups ON factlog_delivery(sub, gen, slot, grp) WHERE state = 5;
DROP INDEX factlog_delivery_oldest;
CREATE INDEX factlog_delivery_oldest ON factlog_delivery(sub, gen, at_ms) WHERE state <> 4;
CREATE INDEX factlog_delivery_waits ON factlog_delivery(sub, gen) WHERE waits = 1;
CREATE TABLE factlog_step(
  sub INTEGER NOT NULL, slot INTEGER NOT NULL, position INTEGER NOT NULL, scope INTEGER NOT NULL, name TEXT NOT NULL,
  state INTEGER NOT NULL, version TEXT NOT NULL, attempts INTEGER NOT NULL, at_ms REAL NOT NULL, kind TEXT, wait TEXT,
  found TEXT NOT NULL, bytes INTEGER NOT NULL, usage TEXT, value TEXT,
  PRIMARY KEY(sub, slot, position, scope, name)) STRICT;
CREATE INDEX factlog_step_wait ON factlog_step(kind, sub, slot, position, scope, name) WHERE state = 3;
CREATE TABLE factlog_settled(
  sub INTEGER NOT NULL, gen INTEGER NOT NULL, slot INTEGER NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY(sub, gen, slot, position)) STRICT, WITHOUT ROWID;
CREATE TABLE factlog_projection(
  name TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL, tables TEXT NOT NULL, shape TEXT NOT NULL,
  live INTEGER NOT NULL, wanted INTEGER NOT NULL, sub INTEGER NOT NULL UNIQUE, PRIMARY KEY(name, generation))
  STRICT, WITHOUT ROWID;
CREATE TABLE factlog_awaited(
  type TEXT NOT NULL, key TEXT NOT NULL, sub INTEGER NOT NULL, slot INTEGER NOT NULL, position INTEGER NOT NULL,
  scope INTEGER NOT NULL, name TEXT NOT NULL, after INTEGER NOT NULL,
  PRIMARY KEY(type, key, sub, slot, position, scope, name)) STRICT, WITHOUT ROWID;
`,
];

/** The number of the newest format this code knows. */
export const newestFormat: number = steps.length;
/** "FACT": marks the file for file(1) and for us. */
export const applicationId = 0x46414354;
/** Of a new file. Against 4 KiB: a tenth to a sixth more publishes a second in flight, and no fewer one at a time. */
export const pageBytes = 8_192;
