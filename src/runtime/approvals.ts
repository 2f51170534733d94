import type { Engine } from "../engine/engine.ts";
import type { WaitRecord } from "../engine/journal.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { auditEvent } from "./audit.ts";
import { deadLetterId } from "./dead-letter-id.ts";

/** A handler waits for a person. */
export interface OpenApproval {
  /** Give it to `answer`. */
  readonly id: string;
  readonly subscription: string;
  /** Name of the wait in its handler. */
  readonly step: string;
  readonly summary: string;
  readonly details: unknown;
  readonly assignee: string | undefined;
  readonly askedAt: Date;
  /** Undefined: it does not expire. */
  readonly expiresAt: Date | undefined;
}
export interface Answer {
  readonly approved: boolean;
  /** Who answers: kept in the log. */
  readonly by: string;
  readonly comment?: string;
}

/** What handlers ask of people, by subscription and delivery. */
export async function* openApprovals({ ledger }: Engine): AsyncGenerator<OpenApproval> {
  const names = new Map((await ledger.tally()).map(({ sub, name }) => [sub, name]));
  let after: WaitRecord | undefined;
  for (;;) {
    const query = { kind: "approval" as const, limit: limits.duePageRows, ...(after === undefined ? {} : { after }) };
    const page = await ledger.waits(query);
    for (const record of page) {
      const name = names.get(record.delivery.sub);
      if (name !== undefined) yield approvalOf(name, record);
    }
    after = page.at(-1);
    if (page.length < limits.duePageRows) return;
  }
}

function approvalOf(subscription: string, { delivery, scope, step }: WaitRecord): OpenApproval {
  const about = JSON.parse(step.wait?.about ?? "{}") as {
    readonly summary?: string;
    readonly details?: unknown;
    readonly assignee?: string;
  };
  const { dueMs } = step.wait ?? { dueMs: undefined };
  return {
    id: `${deadLetterId(subscription, delivery)}.${scope}/${step.name}`,
    subscription,
    step: step.name,
    summary: about.summary ?? "",
    details: about.details,
    assignee: about.assignee,
    askedAt: new Date(step.atMs),
    expiresAt: dueMs === undefined ? undefined : new Date(dueMs),
  };
}

/**
 * Answers an approval; its handler goes on. Throws CONFLICT where another answer or the end of its time was first,
 * NOT_FOUND where nothing of this id waits, INVALID_OPTION where nobody is said to answer.
 */
export async function answerApproval(
  env: Env,
  { ledger }: Engine,
  source: string,
  id: string,
  answer: Answer,
): Promise<void> {
  if (typeof answer.approved !== "boolean" || typeof answer.by !== "string" || answer.by.trim() === "") {
    throw new FactlogError("INVALID_OPTION", "say whether it is approved, and by whom: it is kept in the log.");
  }
  const match = /^(.+):(\d{1,9})\.(\d{1,9})\.(\d{1,15})\.(\d{1,9})\/(.+)$/su.exec(id);
  const [, name, gen, slot, position, scope, step = ""] = match ?? [];
  const known = (await ledger.tally()).find((each) => each.name === name);
  if (match === null || known === undefined) {
    throw new FactlogError("NOT_FOUND", `${JSON.stringify(id)} waits for no answer: see \`factlog approvals\`.`);
  }
  const nowMs = env.now();
  const { approved, by, comment } = answer;
  const outcome = approved ? { approved } : { approved, reason: "rejected" };
  const about = { by, ...(comment === undefined ? {} : { comment }) };
  await ledger.command({
    kind: "answer",
    delivery: { sub: known.sub, gen: Number(gen), slot: Number(slot), position: Number(position) },
    scope: Number(scope),
    step,
    value: JSON.stringify({ ...outcome, ...about, atMs: nowMs }),
    nowMs,
    audit: auditEvent(env, source, "answered", { subscription: name, approval: id, ...outcome, ...about }),
  });
}
