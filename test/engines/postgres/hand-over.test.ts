/**
 * The write skew of READ COMMITTED: a detached row ends while the slot's new holder inserts a row of its key. Neither sees
 * what the other does, unless both lock the slot first; the key then stays held for ever.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { checks, runCheck, subjectOf } from "../../../src/conformance/index.ts";
import { inSchema } from "../../../src/engines/postgres/schema.ts";
import { recordFunctions } from "../../../src/engines/postgres/functions/record.ts";
import { freshPlace, sql, type Place } from "../../support/postgres.ts";
import { openEngine } from "./support.ts";

const check = checks.find(({ name }) => name.startsWith("hand-over: ends and inserts of many keys at once"))!;
const roundsMax = 20;

/** The functions of `record` as somebody might write them who trusts one statement to be enough. */
async function withoutSlotLock({ url, schema }: Place): Promise<void> {
  const lock = /PERFORM 1 FROM S\.slot l\n\s+JOIN[\s\S]*?FOR NO KEY UPDATE OF l;/u;
  const early = /UPDATE S\.slot SET low = v_low[\s\S]*?AND slot = l\.slot;/u;
  const rowsFirst = "IF c ? 'insert' THEN v_keys := S.insert_rows(p_session, l, c->'insert'); END IF;";
  const update = early.exec(recordFunctions)?.[0];
  assert.ok(lock.test(recordFunctions) && update !== undefined && recordFunctions.includes(rowsFirst));
  const broken = recordFunctions
    .replace(lock, "")
    .replace(early, "")
    .replace(rowsFirst, () => `${rowsFirst}\n${update}`)
    .replaceAll("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION");
  await sql(url, inSchema(broken, `"${schema}"`));
}

async function rounds(t: TestContext, prepare: (place: Place) => Promise<void>): Promise<unknown> {
  for (let round = 0; round < roundsMax; round++) {
    const place = await freshPlace();
    await openEngine(t, place, { slots: 4 });
    await prepare(place);
    try {
      await runCheck(check, async () => subjectOf(place.handle({ slots: 4 }), { dispose: async () => undefined }));
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

test("ends and inserts at the same time leave no key held", async (t) => {
  assert.equal(await rounds(t, async () => undefined), undefined);
});

test("an engine that does not lock the slot first is found out", async (t) => {
  const error = await rounds(t, withoutSlotLock);
  assert.match(String((error as Error | undefined)?.message), /held/u);
});
