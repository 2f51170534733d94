import { limits } from "../limits.ts";
import { type Call, json, type Route } from "./call.ts";
import { fieldsIn } from "./fields.ts";
import { pathParameter } from "./parameters.ts";
import { invalid } from "./plain.ts";

const name = pathParameter("name", "The subscription's.");
const common = { method: "POST", scope: "admin:subscriptions", wholeLog: true, body: "Key", answer: "Paused" } as const;

export const pausingRoutes: readonly Route[] = [
  {
    ...common,
    path: "/subscriptions/{name}/pause",
    operationId: "pause",
    summary: "Starts no more handlers of a subscription, or of one key of it, in any process, until it is resumed.",
    parameters: [name],
    handle: (call) => set(call, true),
  },
  {
    ...common,
    path: "/subscriptions/{name}/resume",
    operationId: "resume",
    summary: "Goes on where a subscription, or one key of it, was paused.",
    parameters: [name],
    handle: (call) => set(call, false),
  },
];

async function set(call: Call, paused: boolean): Promise<Response> {
  const key = (await fieldsIn(call, ["key"])).get("key");
  if (key !== undefined && (typeof key !== "string" || Buffer.byteLength(key) > limits.keyBytesMax))
    throw invalid("key", `is not a text of at most ${limits.keyBytesMax} bytes.`);
  const { operator } = call.log;
  const subscription = call.path("name");
  const only = key === undefined ? {} : { key };
  await (paused ? operator.pause(subscription, only) : operator.resume(subscription, only));
  return json({ subscription, ...only, paused });
}
