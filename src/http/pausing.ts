import { limits } from "../limits.ts";
import { type Call, json, type Route } from "./call.ts";
import { fieldsIn } from "./fields.ts";
import { pathParameter } from "./parameters.ts";
import { invalid } from "./plain.ts";

const name = pathParameter("name", "The subscription's.");
const common = {
  method: "POST",
  scope: "admin:subscriptions",
  wholeLog: true,
  body: "PauseOf",
  answer: "Paused",
} as const;

export const pausingRoutes: readonly Route[] = [
  {
    ...common,
    path: "/subscriptions/{name}/pause",
    operationId: "pause",
    summary:
      "Starts no more handlers of a subscription, or of one key or group of it, in any process, until it is resumed.",
    parameters: [name],
    handle: (call) => set(call, true),
  },
  {
    ...common,
    path: "/subscriptions/{name}/resume",
    operationId: "resume",
    summary: "Goes on where a subscription, or one key or group of it, was paused.",
    parameters: [name],
    handle: (call) => set(call, false),
  },
];

async function set(call: Call, paused: boolean): Promise<Response> {
  const fields = await fieldsIn(call, ["key", "group"]);
  const [key, group] = [textOf(fields, "key"), textOf(fields, "group")];
  const { operator } = call.log;
  const subscription = call.path("name");
  const only = { ...(key === undefined ? {} : { key }), ...(group === undefined ? {} : { group }) };
  await (paused ? operator.pause(subscription, only) : operator.resume(subscription, only));
  return json({ subscription, ...only, paused });
}

function textOf(fields: ReadonlyMap<string, unknown>, name: "key" | "group"): string | undefined {
  const text = fields.get(name);
  if (text === undefined || (typeof text === "string" && Buffer.byteLength(text) <= limits.keyBytesMax)) return text;
  throw invalid(name, `is not a text of at most ${limits.keyBytesMax} bytes.`);
}
