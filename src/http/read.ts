import { isPosition } from "../event/position.ts";
import { FactlogError, toCloudEventJson } from "../index.ts";
import type { FollowOptions, Frame, Position, RecordedEvent } from "../index.ts";
import { allows } from "./access.ts";
import { type Call, json, type Route } from "./call.ts";
import { fromOf, parameters, pathParameter, positionOf } from "./parameters.ts";
import { otherEpoch, sseOf } from "./sse.ts";

const correlationId = pathParameter("correlationId", "As publishing answers it: by default the id of the first event.");

export const readRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/events",
    operationId: "readEvents",
    summary: "A page of history as CloudEvents, and the cursor of the next one.",
    scope: "read:events",
    parameters: [
      parameters.types,
      parameters.key,
      parameters.group,
      parameters.correlation,
      parameters.from,
      parameters.limit,
    ],
    answer: "Page",
    handle: readEvents,
  },
  {
    method: "GET",
    path: "/stream",
    operationId: "followEvents",
    summary: "Events as they come, as server-sent events; from now on, where nothing else is said.",
    scope: "read:events",
    parameters: [parameters.types, parameters.key, parameters.group, parameters.from, parameters.lastEventId],
    answer: "stream",
    handle: followEvents,
  },
  {
    method: "GET",
    path: "/correlations/{correlationId}",
    operationId: "readCorrelation",
    summary: "What has become of a correlation: pending, settled or dead.",
    scope: "read:events",
    parameters: [correlationId, parameters.since],
    answer: "Correlation",
    handle: readCorrelation,
  },
  {
    method: "GET",
    path: "/correlations/{correlationId}/stream",
    operationId: "followCorrelation",
    summary: "All of a correlation and what becomes of it, as server-sent events, ending with `end`.",
    scope: "read:events",
    parameters: [correlationId, parameters.types, parameters.since, parameters.lastEventId],
    answer: "stream",
    handle: followCorrelation,
  },
];

type Filter = Pick<FollowOptions, "types" | "key" | "group" | "correlationId">;

/** What was asked for, within what the caller may see; undefined where the two have nothing in common. */
function filterOf({ access, query, queryAll }: Call, correlation = query("correlation")): Filter | undefined {
  const types = queryAll("type");
  const [key, group] = [query("key"), query("group")];
  if (access.group !== undefined && group !== undefined && group !== access.group) return undefined;
  if (access.correlationId !== undefined && correlation !== undefined && correlation !== access.correlationId)
    return undefined;
  const given = {
    key,
    group: access.group ?? group,
    correlationId: access.correlationId ?? correlation,
    types: types.length === 0 ? undefined : types,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Filter;
}

async function readEvents(call: Call): Promise<Response> {
  const from = fromOf(call.query("from"));
  const limit = call.query("limit");
  const filter = filterOf(call);
  const page = await call.log.page({
    ...filter,
    // The caller sees nothing of what it asked for: it learns where the log ends, and no more.
    ...(from === undefined ? {} : { from }),
    ...(filter === undefined ? { from: "now" as const } : {}),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  });
  const events = page.events.map((event) => toCloudEventJson(event));
  return json(`{"events":[${events.join(",")}],"next":${JSON.stringify(page.next)},"atHead":${page.atHead}}`);
}

async function readCorrelation(call: Call): Promise<Response> {
  const id = call.path("correlationId");
  const since = positionOf("since", call.query("since"));
  const filter = filterOf(call, id);
  const found =
    filter === undefined
      ? undefined
      : await call.log.correlation(id, {
          ...(filter.group === undefined ? {} : { group: filter.group }),
          ...(since === undefined ? {} : { since }),
        });
  if (found === undefined) throw new FactlogError("NOT_FOUND", "nothing of this correlation is here.");
  return json(found);
}

async function followEvents(call: Call): Promise<Response> {
  const after = placeOf(call, "Last-Event-ID", call.request.headers.get("last-event-id"));
  const from = knownOf(after) ?? fromOf(call.query("from")) ?? "now";
  return stream(call, filterOf(call), { from }, after === "foreign");
}

async function followCorrelation(call: Call): Promise<Response> {
  const after = placeOf(call, "Last-Event-ID", call.request.headers.get("last-event-id"));
  const since = placeOf(call, "since", call.query("since"));
  const isForeign = after === "foreign" || since === "foreign";
  const where = isForeign ? {} : { after: knownOf(after), since: knownOf(since) };
  const given = Object.fromEntries(Object.entries(where).filter(([, place]) => place !== undefined));
  return stream(call, filterOf(call, call.path("correlationId")), given, isForeign);
}

/**
 * Where the reader was, or where its correlation begins. "foreign": in another epoch, as before the log was restored; it is told so,
 * and goes on as one that comes anew.
 */
function placeOf({ log }: Call, name: string, text: string | null | undefined): Position | "foreign" | undefined {
  const place = positionOf(name, text);
  try {
    if (place !== undefined) log.comparePositions(place, place);
    return place;
  } catch (error) {
    if (error instanceof FactlogError && error.details["expected"] !== undefined) return "foreign";
    throw error;
  }
}
const knownOf = (place: Position | "foreign" | undefined): Position | undefined =>
  place === "foreign" ? undefined : place;

async function stream(
  call: Call,
  filter: Filter | undefined,
  where: Pick<FollowOptions, "from" | "since" | "after">,
  isForeign: boolean,
): Promise<Response> {
  if (filter === undefined) throw new FactlogError("NOT_FOUND", "nothing of this is here.");
  // A place that is none of this log is refused now, not in the stream.
  for (const place of [where.after, where.from, where.since])
    if (isPosition(place)) call.log.comparePositions(place, place);
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    // Proxies such as nginx gather what they pass on.
    "x-accel-buffering": "no",
  };
  if (call.request.method === "HEAD") return new Response(null, { headers });
  const withReasons = allows(call.access, "read:dead");
  const body = call.streams.start({
    messages: (signal) =>
      messages(call.log.follow({ ...filter, ...where, signal, shared: true }), withReasons, isForeign),
    caller: call.access.caller,
    stillAllowed: call.stillAllowed,
    cut: () => call.outgoing?.destroy() !== undefined,
    failed: (error) => {
      if (!(error instanceof FactlogError && error.code === "CLOSED"))
        call.logger.error("a stream failed; its reader will come again", { error });
    },
  });
  return new Response(body, { headers });
}

async function* messages(
  frames: AsyncIterable<Frame<RecordedEvent>>,
  withReasons: boolean,
  isForeign: boolean,
): AsyncGenerator<string> {
  if (isForeign) yield otherEpoch;
  for await (const frame of frames) yield sseOf(frame, withReasons);
}
