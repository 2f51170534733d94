import { appendFunctions, subjectFunction } from "./functions/append.ts";
import { journalFunctions } from "./functions/journal.ts";
import { leaseFunctions } from "./functions/lease.ts";
import { carryFunctions, outboxTables } from "./functions/outbox.ts";
import { publishFunctions } from "./functions/publish.ts";
import { recordFunctions } from "./functions/record.ts";
import { rowFunctions } from "./functions/rows.ts";
import { timetableFunctions } from "./functions/timetable.ts";
import { settleFunctions } from "./functions/settle.ts";

/** Stands for the quoted name of the log's schema. */
const placeholder = /\bS\./gu;

/** SQL of ours, for a schema: every name of ours is written with `S.` before it. */
export const inSchema = (sql: string, quoted: string): string => sql.replaceAll(placeholder, `${quoted}.`);

/**
 * The tables. Text is bytes under the collation "C": the order of names is that of their code points, on every server.
 * What repeats (sources, types, schemas) is stored once and pointed to; states of rows are numbers, see `rowStates`.
 * An id that is a canonical UUID is its 16 bytes: see `event-row.ts`.
 *
 * Counters stand with the slot whose lock their writers hold: no row is written by two processes at once but the head.
 * Rows that are updated again and again have room on their page for their next version (HOT).
 */
const tables = `
CREATE TABLE S.meta(name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE S.head(one boolean PRIMARY KEY DEFAULT true CHECK (one), position bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO S.head(position) VALUES (0);
CREATE TABLE S.source(id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);
CREATE TABLE S.type(
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
  appended bigint NOT NULL DEFAULT 0) WITH (fillfactor = 25);
CREATE TABLE S.schema(
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type integer NOT NULL, version bigint NOT NULL,
  fingerprint text COLLATE "C" NOT NULL, plain boolean NOT NULL, UNIQUE(type, version, fingerprint, plain));
CREATE TABLE S.event(
  position bigint PRIMARY KEY, source integer NOT NULL, schema integer NOT NULL, slot integer NOT NULL,
  crc bigint NOT NULL, time_ms float8 NOT NULL, recorded_ms float8 NOT NULL, id bytea NOT NULL, key text COLLATE "C",
  grp text COLLATE "C", attributes text COLLATE "C" NOT NULL, data text COLLATE "C" NOT NULL);
CREATE UNIQUE INDEX event_id ON S.event(source, id);

CREATE SEQUENCE S.session_id;
CREATE TABLE S.session(
  id bigint PRIMARY KEY, beat bigint NOT NULL, lease_ms float8 NOT NULL, serves text NOT NULL,
  server text NOT NULL, flush text, answer text) WITH (fillfactor = 25);
CREATE TABLE S.subscription(
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, gen integer NOT NULL,
  newest integer NOT NULL);
CREATE TABLE S.revision(sub integer, revision integer, definition text NOT NULL, PRIMARY KEY(sub, revision));
CREATE TABLE S.counted(
  sub integer, gen integer, type text COLLATE "C", since text NOT NULL, baseline bigint NOT NULL,
  PRIMARY KEY(sub, gen, type));
CREATE TABLE S.matched(
  sub integer, gen integer, slot integer, type text COLLATE "C", n bigint NOT NULL,
  PRIMARY KEY(sub, gen, slot, type)) WITH (fillfactor = 50);
CREATE TABLE S.slot(
  sub integer, gen integer, slot integer, token bigint NOT NULL DEFAULT 0, session bigint,
  low bigint NOT NULL, ranges text NOT NULL DEFAULT '', claim bigint NOT NULL, suspect bigint NOT NULL DEFAULT 0,
  matched bigint NOT NULL DEFAULT 0, done bigint NOT NULL DEFAULT 0, skipped bigint NOT NULL DEFAULT 0,
  discarded bigint NOT NULL DEFAULT 0, expired bigint NOT NULL DEFAULT 0, duplicate bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0, ready bigint NOT NULL DEFAULT 0, running bigint NOT NULL DEFAULT 0,
  retrying bigint NOT NULL DEFAULT 0, dead bigint NOT NULL DEFAULT 0, blocking bigint NOT NULL DEFAULT 0,
  stopping bigint NOT NULL DEFAULT 0, PRIMARY KEY(sub, gen, slot)) WITH (fillfactor = 30);
CREATE INDEX slot_session ON S.slot(session, sub, gen, slot) WHERE session IS NOT NULL;

CREATE TABLE S.delivery(
  sub integer, gen integer, slot integer, position bigint, event_slot integer NOT NULL, key text COLLATE "C" NOT NULL,
  holds boolean NOT NULL, state smallint NOT NULL, stop boolean NOT NULL, due_ms float8, token bigint NOT NULL,
  session bigint, scope integer NOT NULL DEFAULT 0, failures integer NOT NULL, crashes integer NOT NULL DEFAULT 0,
  redriven boolean NOT NULL DEFAULT false, event_id text COLLATE "C" NOT NULL, correlation_id text COLLATE "C" NOT NULL,
  at_ms float8 NOT NULL, event text, PRIMARY KEY(sub, gen, slot, position));
CREATE INDEX delivery_key ON S.delivery(sub, gen, slot, key, position) WHERE holds;
CREATE INDEX delivery_due ON S.delivery(sub, gen, slot, due_ms, position) WHERE due_ms IS NOT NULL;
CREATE INDEX delivery_session ON S.delivery(session) WHERE session IS NOT NULL;
CREATE INDEX delivery_state ON S.delivery(state, sub, gen, slot, position) WHERE state > 0;
CREATE INDEX delivery_oldest ON S.delivery(sub, gen, at_ms) WHERE state < 4;
CREATE TABLE S.failure(
  sub integer, gen integer, slot integer, position bigint, n integer, at_ms float8 NOT NULL, class text NOT NULL,
  fingerprint text NOT NULL, error text NOT NULL, PRIMARY KEY(sub, gen, slot, position, n));

CREATE TABLE S.state(sub integer, key text COLLATE "C", value text NOT NULL, PRIMARY KEY(sub, key));
CREATE TABLE S.seen(
  sub integer, gen integer, slot integer, identity text COLLATE "C", at_ms float8 NOT NULL,
  PRIMARY KEY(sub, gen, slot, identity));
CREATE INDEX seen_age ON S.seen(at_ms);
CREATE TABLE S.outbox(
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
  event text NOT NULL, UNIQUE(source, id));
`;

/** Tables that hold anything of a subscription, by its number. */
export const tablesOfSubscription = [
  "slot",
  "delivery",
  "failure",
  "counted",
  "matched",
  "revision",
  "state",
  "seen",
  "step",
  "awaited",
  "settled",
] as const;

/** Deliveries that a user's transaction has settled: see `settle`. */
const settled = `
CREATE TABLE S.settled(
  sub integer, gen integer, slot integer, position bigint, done boolean NOT NULL, voided text[] NOT NULL,
  PRIMARY KEY(sub, gen, slot, position));
`;

/** What becomes a fact at its time. */
const timetable = `
CREATE TABLE S.delayed(
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL, due_ms float8 NOT NULL, event text NOT NULL, UNIQUE(source, id));
CREATE INDEX delayed_due ON S.delayed(due_ms);
CREATE INDEX delayed_correlation ON S.delayed(correlation_id);
CREATE TABLE S.schedule(name text COLLATE "C" PRIMARY KEY, tick_ms float8 NOT NULL);
`;

/** What is kept by name. */
const register = `
CREATE TABLE S.entry(
  kind text COLLATE "C", name text COLLATE "C", body text COLLATE "C" NOT NULL, PRIMARY KEY(kind, name));
`;

/** The steps of deliveries, and who awaits which facts. */
const journal = `
ALTER TABLE S.delivery ADD COLUMN waits boolean NOT NULL DEFAULT false, ADD COLUMN woken boolean NOT NULL DEFAULT false;
CREATE INDEX delivery_waits ON S.delivery(sub, gen) WHERE waits;
CREATE TABLE S.step(
  sub integer, slot integer, position bigint, scope integer, name text COLLATE "C", state smallint NOT NULL,
  version text NOT NULL, attempts integer NOT NULL, at_ms float8 NOT NULL, kind text, wait jsonb,
  found jsonb NOT NULL DEFAULT '[]', bytes integer NOT NULL, usage text, value text,
  PRIMARY KEY(sub, slot, position, scope, name));
CREATE INDEX step_wait ON S.step(kind, sub, slot, position, scope, name) WHERE state = 3;
CREATE TABLE S.awaited(
  type text COLLATE "C", key text COLLATE "C", sub integer, slot integer, position bigint, scope integer,
  name text COLLATE "C", after bigint NOT NULL, PRIMARY KEY(type, key, sub, slot, position, scope, name));
`;

/** Rows that wait for the turn of their group. */
const deferred = `
ALTER TABLE S.slot ADD COLUMN deferred bigint NOT NULL DEFAULT 0;
ALTER TABLE S.delivery ADD COLUMN grp text COLLATE "C";
CREATE INDEX delivery_deferred ON S.delivery(sub, gen, grp, position) WHERE state = 5;
CREATE INDEX delivery_groups ON S.delivery(sub, gen, slot, grp) WHERE state = 5;
DROP INDEX S.delivery_oldest;
CREATE INDEX delivery_oldest ON S.delivery(sub, gen, at_ms) WHERE state <> 4;
`;

/** Generations of projections: see the port. `sub` is the subscription that fills the tables. */
const projections = `
CREATE TABLE S.projection(
  name text COLLATE "C", generation integer, version integer NOT NULL, tables text NOT NULL, shape text NOT NULL,
  live boolean NOT NULL, wanted integer NOT NULL, sub integer NOT NULL UNIQUE, PRIMARY KEY(name, generation));
`;

/** Statements of the user may read our tables and change none: the setting is theirs while one of them runs. */
const guardFunction = `
CREATE OR REPLACE FUNCTION S.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a handler may not change the table % of the log', TG_TABLE_NAME USING ERRCODE = 'FL006';
END $$;
`;
const guarding = (tables: readonly string[]): string =>
  tables
    .map(
      (table) =>
        `CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON S.${table} FOR EACH STATEMENT
         WHEN (current_setting('factlog.guest', true) = 'on') EXECUTE FUNCTION S.guard();`,
    )
    .join("\n");
const firstTables =
  "meta head source type schema event session subscription outbox slot delivery failure counted matched revision state seen".split(
    " ",
  );

/**
 * The schema's tables, as data: version n of the format is what the first n steps make. A step is never changed once it
 * was released; a new format is a further step. Where only a function's text changes, the step is empty.
 */
export const steps: readonly string[] = [
  [tables, guardFunction, guarding(firstTables)].join("\n"),
  [subjectFunction, outboxTables].join("\n"),
  [settled, guarding(["settled"])].join("\n"),
  [
    timetable,
    journal,
    deferred,
    register,
    projections,
    guarding(["delayed", "schedule", "step", "awaited", "entry", "projection"]),
  ].join("\n"),
];

/** The step that makes the outbox of the user's transactions. */
export const outboxFormat = 2;

/** The functions of the newest format: made anew after a step, whatever they were before. */
export const functions: string = [
  guardFunction,
  appendFunctions,
  rowFunctions,
  recordFunctions,
  settleFunctions,
  leaseFunctions,
  timetableFunctions,
  journalFunctions,
  carryFunctions,
  publishFunctions,
].join("\n");

/** The number of the newest format this code knows. */
export const newestFormat: number = steps.length;
