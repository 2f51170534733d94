import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../src/limits.ts";

test("bounds that lean on each other agree", () => {
  assert.ok(limits.pageEvents <= limits.readAheadMax, "one page fits into the read-ahead");
  assert.ok(limits.pageEvents <= limits.scanMax, "a read may look at what it may return");
  assert.ok(limits.readAheadMax + limits.pageEvents < limits.rangesMax * 2, "gaps cannot outnumber what was read");
  assert.ok(limits.claimAheadMin <= limits.claimAheadMax);
  assert.ok(limits.checkpointMs * 2 < limits.leaseMinMs * limits.beatsPerLease, "a lease outlives a checkpoint");
  assert.ok(limits.busyMaxMs < limits.leaseMs, "waiting for a busy store does not cost the lease");
  assert.ok(limits.detachAfterMs < limits.handlerTimeoutMs, "long deliveries are detached before they time out");
  assert.ok(limits.wakeMaxMs <= limits.duePollMs);
  assert.ok(limits.backoffFirstMs <= limits.backoffMaxMs);
  assert.ok(limits.commitEventsMax <= limits.batchEventsMax, "the largest batch is one commit");
  assert.ok(limits.keyBytesMax < limits.attributesBytesMax && limits.attributesBytesMax < limits.eventBytesMax);
});

test("the default policy waits at most 49 minutes in all before a delivery is dead", () => {
  let mostMs = 0;
  for (let failures = 1; failures < limits.attemptsMax; failures++) {
    mostMs += Math.min(limits.backoffMaxMs, limits.backoffFirstMs * limits.backoffFactor ** (failures - 1));
  }
  assert.equal(Math.floor(mostMs / 60_000), 49);
});
