import type { DeadLetterFilter } from "../index.ts";
import { type Call, json, type Route } from "./call.ts";
import { fieldsIn, textField } from "./fields.ts";
import { pathParameter } from "./parameters.ts";
import { invalid } from "./plain.ts";

const id = pathParameter("id", "As the list shows it.");
const filters = ["subscription", "key", "group", "type", "fingerprint"] as const;

export const redriveRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/redrives",
    operationId: "listRedrives",
    summary: "Redrives that run as jobs, and how far they are; oldest first.",
    scope: "read:dead",
    wholeLog: true,
    parameters: [],
    answer: "Redrives",
    handle: async ({ log }) => json({ redrives: await log.operator.redrives.list() }),
  },
  {
    method: "POST",
    path: "/redrives",
    operationId: "startRedrive",
    summary: "Delivers again what the fields choose, as a job; `dryRun` says what it would do to which keys, no more.",
    scope: "admin:dead",
    wholeLog: true,
    parameters: [],
    body: "NewRedrive",
    answer: "StartedRedrive",
    handle: start,
  },
  {
    method: "POST",
    path: "/redrives/{id}/cancel",
    operationId: "cancelRedrive",
    summary: "Ends a redrive job: what it has not delivered stays dead.",
    scope: "admin:dead",
    wholeLog: true,
    parameters: [id],
    body: "Nothing",
    answer: "Redrive",
    handle: cancel,
  },
];

async function start(call: Call): Promise<Response> {
  const fields = await fieldsIn(call, [...filters, "dryRun", "confirm", "ratePerSecond"]);
  const filter: DeadLetterFilter = Object.fromEntries(
    filters.map((name) => [name, textField(fields, name)] as const).filter(([, value]) => value !== undefined),
  );
  const { redrives } = call.log.operator;
  if (fields.get("dryRun") === true) return json(await redrives.plan(filter));
  const confirm = fields.get("confirm");
  const ratePerSecond = fields.get("ratePerSecond");
  if (typeof confirm !== "number") throw invalid("confirm", "is missing: send how many you expect (see dryRun).");
  if (ratePerSecond !== undefined && typeof ratePerSecond !== "number") throw invalid("ratePerSecond", "is no number.");
  return json(await redrives.start(filter, { confirm, ...(ratePerSecond === undefined ? {} : { ratePerSecond }) }));
}

async function cancel(call: Call): Promise<Response> {
  await fieldsIn(call, []);
  const { redrives } = call.log.operator;
  await redrives.cancel(call.path("id"));
  return json(await redrives.show(call.path("id")));
}
