import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { type Call, json, type Route } from "./call.ts";
import { fieldsIn, textField } from "./fields.ts";
import { parameters, pathParameter } from "./parameters.ts";
import { invalid } from "./plain.ts";

const id = pathParameter("id", "As the list shows it.");

/** What waits: for people, and for its time. */
export const waitingRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/approvals",
    operationId: "listApprovals",
    summary: "What handlers ask of people; `more` where there are more than the limit.",
    scope: "read:approvals",
    wholeLog: true,
    parameters: [parameters.limit],
    answer: "Approvals",
    handle: listApprovals,
  },
  ...(["approve", "reject"] as const).map((verb): Route => ({
    method: "POST",
    path: `/approvals/{id}/${verb}`,
    operationId: verb,
    summary: `Says ${verb === "approve" ? "yes" : "no"} to what a handler asks; it goes on. The answer is kept in the log.`,
    scope: "admin:approvals",
    wholeLog: true,
    parameters: [id],
    body: "Answer",
    answer: "Answered",
    handle: (call) => answer(call, verb === "approve"),
  })),
  {
    method: "GET",
    path: "/delayed",
    operationId: "listDelayed",
    summary: "Events that wait for their time, in its order; `more` where there are more than the limit.",
    scope: "read:delayed",
    wholeLog: true,
    parameters: [parameters.correlation, parameters.limit],
    answer: "Delayed",
    handle: listDelayed,
  },
  {
    method: "POST",
    path: "/delayed/{id}/cancel",
    operationId: "cancelDelayed",
    summary: "Withdraws an event that waits for its time: it is never stated.",
    scope: "admin:delayed",
    wholeLog: true,
    parameters: [id],
    body: "Withdraw",
    answer: "Withdrawn",
    handle: cancelDelayed,
  },
];

/** The first of a list, and whether there are more. */
async function firstOf<T>(call: Call, all: AsyncIterable<T>): Promise<{ readonly found: T[]; readonly more: boolean }> {
  const limit = Number(call.query("limit") ?? limits.listDefault);
  const found: T[] = [];
  for await (const each of all) {
    if (found.length === limit) return { found, more: true };
    found.push(each);
  }
  return { found, more: false };
}

async function listApprovals(call: Call): Promise<Response> {
  const { found, more } = await firstOf(call, call.log.operator.approvals());
  return json({ approvals: found, more });
}

async function answer(call: Call, approved: boolean): Promise<Response> {
  const fields = await fieldsIn(call, ["by", "comment"]);
  const by = textField(fields, "by") ?? call.access.caller;
  const comment = textField(fields, "comment");
  if (by === undefined || by.trim() === "")
    throw invalid("by", 'is missing: send {"by": "..."}, who answers; it is kept in the log.');
  const approval = call.path("id");
  await call.log.operator.answer(approval, { approved, by, ...(comment === undefined ? {} : { comment }) });
  return json({ id: approval, approved, by });
}

async function listDelayed(call: Call): Promise<Response> {
  const correlationId = call.query("correlation");
  const filter = correlationId === undefined ? {} : { correlationId };
  const { found, more } = await firstOf(call, call.log.operator.delayed(filter));
  return json({ delayed: found, more });
}

async function cancelDelayed(call: Call): Promise<Response> {
  const source = textField(await fieldsIn(call, ["source"]), "source") ?? call.app.name;
  const event = call.path("id");
  if (!(await call.log.cancel(event, { source })))
    throw new FactlogError("NOT_FOUND", "no such delayed event waits: it was stated, withdrawn, or never there.");
  return json({ id: event, source, cancelled: true });
}
