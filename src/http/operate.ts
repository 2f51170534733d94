import { type DeadLetter, type DeadLetterFilter, deadLetterJson, deadLetterSummary, FactlogError } from "../index.ts";
import { limits } from "../limits.ts";
import { type Call, json, type Parameter, type Route } from "./call.ts";
import { parameters, pathParameter } from "./parameters.ts";
import { fieldsIn } from "./fields.ts";
import { invalid } from "./plain.ts";

const id = pathParameter("id", "As the list shows it.");
const filters: readonly Parameter[] = [
  { name: "subscription", in: "query", description: "Only of this subscription.", schema: { type: "string" } },
  parameters.key,
  { name: "group", in: "query", description: "Only of this group.", schema: { type: "string" } },
  { name: "type", in: "query", description: "Only of this event type.", schema: { type: "string" } },
  {
    name: "fingerprint",
    in: "query",
    description: "Only failures that look like this one.",
    schema: { type: "string" },
  },
  parameters.limit,
];

export const operateRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/status",
    operationId: "status",
    summary: "Every subscription: what it owes, and what stands in its way.",
    scope: "read:status",
    wholeLog: true,
    parameters: [],
    answer: "Status",
    handle: status,
  },
  {
    method: "GET",
    path: "/doctor",
    operationId: "doctor",
    summary: "Checks the log: its store, its checksums, that no delivery is lost or counted twice.",
    scope: "read:status",
    wholeLog: true,
    parameters: [],
    answer: "Doctor",
    handle: doctor,
  },
  {
    method: "GET",
    path: "/metrics",
    operationId: "metrics",
    summary: "The measures of all subscriptions, as Prometheus reads them. Also at /metrics below the root.",
    scope: "read:metrics",
    wholeLog: true,
    parameters: [],
    answer: "metrics",
    handle: metrics,
  },
  {
    method: "GET",
    path: "/dead",
    operationId: "listDead",
    summary: "Dead letters; `more` where there are more than the limit.",
    scope: "read:dead",
    parameters: filters,
    answer: "DeadLetters",
    handle: listDead,
  },
  {
    method: "GET",
    path: "/dead/{id}",
    operationId: "showDead",
    summary: "One dead letter with its event and every failure.",
    scope: "read:dead",
    parameters: [id],
    answer: "DeadLetter",
    handle: async (call) => json(deadLetterJson(await letterOf(call))),
  },
  {
    method: "POST",
    path: "/dead/{id}/redrive",
    operationId: "redriveDead",
    summary: "Delivers a dead letter again, in place: same event, same position, same idempotency keys.",
    scope: "admin:dead",
    parameters: [id],
    body: "Nothing",
    answer: "Redriven",
    handle: redrive,
  },
  {
    method: "POST",
    path: "/dead/{id}/discard",
    operationId: "discardDead",
    summary:
      "Closes a dead letter for good, unprocessed; later events of its key go on. The reason is kept in the log.",
    scope: "admin:dead",
    parameters: [id],
    body: "Reason",
    answer: "Discarded",
    handle: discard,
  },
];

async function status({ log, app }: Call): Promise<Response> {
  const head = await log.head();
  const subscriptions = await log.operator.status(app);
  const notStarted = app.subscriptionNames.filter((name) => !subscriptions.some((each) => each.name === name));
  return json({ head: head.place, subscriptions, notStarted });
}

/** It reads the whole store: those who ask at once share one answer. */
const asking = new WeakMap<Call["log"], Promise<Response>>();
async function doctor({ log, app }: Call): Promise<Response> {
  const running = asking.get(log) ?? examine(log, app).finally(() => asking.delete(log));
  asking.set(log, running);
  return (await running).clone();
}
async function examine(log: Call["log"], app: Call["app"]): Promise<Response> {
  const findings = await log.inspect(app);
  return json({ ok: findings.every((finding) => finding.ok), findings });
}

/** Scrapes that come while the store is being looked at share the look. */
const measuring = new WeakMap<Call["log"], Promise<string>>();
async function metrics({ log }: Call): Promise<Response> {
  const running = measuring.get(log) ?? log.metrics().finally(() => measuring.delete(log));
  measuring.set(log, running);
  return new Response(await running, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
}

async function listDead(call: Call): Promise<Response> {
  const { log, query } = call;
  const names = ["subscription", "key", "group", "type", "fingerprint"] as const;
  const filter: DeadLetterFilter = Object.fromEntries(
    names.map((name) => [name, query(name)] as const).filter(([, value]) => value !== undefined),
  );
  const limit = Number(query("limit") ?? limits.listDefault);
  const deadLetters: object[] = [];
  let more = false;
  for await (const letter of log.operator.deadLetters(filter)) {
    if (!isSeen(call, letter)) continue;
    more = deadLetters.length === limit;
    if (more) break;
    deadLetters.push(deadLetterSummary(letter));
  }
  return json({ deadLetters, more });
}

/** One that the caller may not see is not there for it. */
async function letterOf(call: Call): Promise<DeadLetter> {
  const letter = await call.log.operator.deadLetter(call.path("id"));
  if (isSeen(call, letter)) return letter;
  throw new FactlogError("NOT_FOUND", `${letter.id} is no dead letter (any more): see \`factlog dead list\`.`, {
    details: { id: letter.id },
  });
}

function isSeen({ access }: Call, letter: DeadLetter): boolean {
  if (access.group !== undefined && letter.event?.group !== access.group) return false;
  return access.correlationId === undefined || letter.correlationId === access.correlationId;
}

async function redrive(call: Call): Promise<Response> {
  await fieldsIn(call, []);
  const { id } = await letterOf(call);
  const { redriven } = await call.log.operator.redrive([id], { confirm: 1 });
  return json({ redriven, found: 1 });
}

async function discard(call: Call): Promise<Response> {
  const reason = (await fieldsIn(call, ["reason"])).get("reason");
  if (reason === undefined) throw invalid("reason", 'is missing: send {"reason": "..."}; it is kept in the log.');
  if (typeof reason !== "string" || Buffer.byteLength(reason) > limits.keyBytesMax || !reason.isWellFormed())
    throw invalid("reason", `is not a text of at most ${limits.keyBytesMax} bytes.`);
  const { id } = await letterOf(call);
  await call.log.operator.discard([id], { reason });
  return json({ discarded: 1, reason });
}
