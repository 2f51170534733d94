/**
 * The engine suite: every sentence of the two ports as a check, for engines of this package and of others.
 *
 * ```ts
 * for (const check of checks) test(check.name, () => runCheck(check, async () => subjectOf(myEngine(freshPlace()))));
 * ```
 */
import type { Check } from "./check.ts";
import { announceChecks } from "./checks/announce.ts";
import { appendChecks } from "./checks/append.ts";
import { closeChecks } from "./checks/close.ts";
import { deferredChecks } from "./checks/deferred.ts";
import { defineChecks } from "./checks/define.ts";
import { deltaChecks } from "./checks/deltas.ts";
import { deliveryChecks } from "./checks/deliveries.ts";
import { engineChecks } from "./checks/engine.ts";
import { effectChecks } from "./checks/effects.ts";
import { handOverChecks } from "./checks/hand-over.ts";
import { journalChecks } from "./checks/journal.ts";
import { leaseChecks } from "./checks/lease.ts";
import { loadChecks } from "./checks/load.ts";
import { lookChecks } from "./checks/look.ts";
import { operateChecks } from "./checks/operate.ts";
import { outboxChecks } from "./checks/outbox.ts";
import { progressChecks } from "./checks/progress.ts";
import { readChecks } from "./checks/read.ts";
import { relayChecks } from "./checks/relay.ts";
import { rowChecks } from "./checks/rows.ts";
import { takeoverChecks } from "./checks/takeover.ts";
import { tallyChecks } from "./checks/tally.ts";
import { registerChecks } from "./checks/register.ts";
import { timetableChecks } from "./checks/timetable.ts";
import { transactChecks } from "./checks/transact.ts";

export { runCheck, runChecks, subjectOf } from "./check.ts";
export type { Capabilities, Check, CheckResult, Subject, SubjectOptions } from "./check.ts";
export { foreignLog, pairing } from "./foreign-log.ts";
export type { ForeignLog } from "./foreign-log.ts";

export const checks: readonly Check[] = [
  ...appendChecks,
  ...readChecks,
  ...lookChecks,
  ...relayChecks,
  ...closeChecks,
  ...leaseChecks,
  ...takeoverChecks,
  ...loadChecks,
  ...progressChecks,
  ...rowChecks,
  ...deferredChecks,
  ...handOverChecks,
  ...effectChecks,
  ...transactChecks,
  ...announceChecks,
  ...outboxChecks,
  ...deliveryChecks,
  ...defineChecks,
  ...operateChecks,
  ...tallyChecks,
  ...registerChecks,
  ...timetableChecks,
  ...journalChecks,
  ...engineChecks,
  ...deltaChecks,
];
