import type { Random } from "../../sim/random.ts";

/** What the OpenAPI document says of one operation. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema: { readonly type: string; readonly minimum?: number; readonly maximum?: number };
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> };
}

export function operationsIn(document: unknown): readonly Operation[] {
  const { paths } = document as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  );
}

/** Texts that have broken something somewhere. */
const naughty: readonly string[] = [
  "",
  " ",
  "0",
  "-1",
  "1e9",
  "NaN",
  "null",
  "undefined",
  "true",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "../../etc/passwd",
  "..%2f..%2f",
  "%00",
  "%C0%A0",
  "%",
  "\0",
  "\ud800",
  "\u202e",
  "\ufeff",
  "ﬀ",
  "𝕏".repeat(40),
  "'; DROP TABLE event;--",
  "%_",
  "<img src=x onerror=alert(1)>",
  "javascript:alert(1)",
  "a\r\nSet-Cookie: x=1",
  "\n\nevent: forged\ndata: x\n\n",
  "x".repeat(513),
  "x".repeat(5_000),
  "9007199254740993",
  "2026-02-30T00:00:00Z",
  "2026-11-23T06:15:00Z",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:60Z",
  "epoch.0.1",
  "fussy:1.1.1",
  "fussy:999999999.999999999.999999999999999",
  "beginning",
  "now",
  "Noted",
  "Ordered",
];
const json: readonly string[] = [
  "1",
  "-0",
  "1e400",
  "12345678901234567890",
  "null",
  '"x"',
  "[]",
  "{}",
  '{"a":1,"a":2}',
  "[1,]",
  "{",
  '"',
  "nul",
  "01",
  '{"__proto__":{"x":1}}',
  '"\\ud800"',
  '"\\u0000"',
  "[".repeat(70) + "]".repeat(70),
  "[".repeat(9_000),
  '{"orderId":"o"}',
  '{"orderId":""}',
  '{"orderId":7}',
];
const types = [
  "application/json",
  "application/json; charset=utf-8",
  "application/json;charset=utf-16",
  "application/cloudevents+json",
  "application/cloudevents-batch+json",
  "text/plain",
  "",
  "application/json, text/html",
  "multipart/form-data; boundary=x",
];

/** A request as bytes: near to what the document asks for, then damaged more or less. */
export function requestFor(random: Random, operations: readonly Operation[]): Buffer {
  const publish = operations.find((each) => each.method === "POST" && each.path === "/events");
  const operation = publish !== undefined && random.chance(0.4) ? publish : random.pick(operations);
  const method = random.chance(0.9)
    ? operation.method
    : random.pick(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "BREW"]);
  const headers: [string, string][] = [["Host", random.chance(0.95) ? "localhost" : random.pick(naughty)]];
  const target = targetFor(random, operation);
  for (const parameter of operation.parameters)
    if (parameter.in === "header" && random.chance(0.3)) headers.push([parameter.name, random.pick(naughty)]);
  if (random.chance(0.1))
    headers.push([
      random.pick(["Origin", "Sec-Fetch-Site", "Content-Encoding", "Expect", "Range", "If-Match", "Upgrade", "Accept"]),
      random.pick(naughty),
    ]);
  let body = Buffer.alloc(0);
  if (operation.requestBody !== undefined || random.chance(0.05)) {
    body = Buffer.from(bodyFor(random, headers));
    if (random.chance(0.9)) headers.push(["Content-Length", String(body.length)]);
    else if (random.chance(0.5)) headers.push(["Content-Length", random.pick(["-1", "0", "99999999", "x", "1, 2"])]);
    else headers.push(["Transfer-Encoding", random.pick(["chunked", "gzip", "chunked, chunked", "identity"])]);
  }
  const lines = headers.map(([name, value]) => `${name}: ${random.chance(0.98) ? clean(value) : value}\r\n`);
  const bytes = Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`), body]);
  return random.chance(0.3) ? damaged(random, bytes) : bytes;
}

/** Without what ends a header, so that most requests come through. */
// oxlint-disable-next-line no-control-regex -- these are what is meant
const clean = (value: string): string => value.replaceAll(/[\0-\x1f\x7f-\uffff]/gu, "?").slice(0, 2_000);

function targetFor(random: Random, { path, parameters }: Operation): string {
  const encode = (text: string): string =>
    random.chance(0.9) ? encodeURIComponent(text.toWellFormed()) : clean(text).replaceAll(" ", "+");
  const filled = path.replaceAll(/\{\w+\}/gu, () => encode(random.pick(naughty)));
  const query: string[] = [];
  for (const { name, in: where, schema } of parameters) {
    if (where !== "query" || random.chance(0.5)) continue;
    const near =
      schema.type === "integer"
        ? String(random.int((schema.minimum ?? 0) - 1, (schema.maximum ?? 9) + 1))
        : random.pick(["Noted", "o", "beginning"]);
    query.push(`${name}=${encode(random.chance(0.5) ? near : random.pick(naughty))}`);
  }
  if (random.chance(0.1)) query.push(`${encode(random.pick(naughty))}=${encode(random.pick(naughty))}`);
  return `/v1${filled}${query.length === 0 ? "" : `?${query.join("&")}`}`;
}

function bodyFor(random: Random, headers: [string, string][]): string {
  if (random.chance(0.25)) {
    headers.push(["Content-Type", "application/json"]);
    return rightBody(random);
  }
  const type = random.pick(types);
  headers.push(["Content-Type", type]);
  if (random.chance(0.2)) {
    for (const name of [
      "ce-specversion",
      "ce-id",
      "ce-source",
      "ce-type",
      "ce-time",
      "ce-subject",
      "ce-Foo_bar",
      "ce-datacontenttype",
      "ce-traceparent",
    ])
      if (random.chance(0.7))
        headers.push([name, random.chance(0.6) ? nearlyRight(random, name.slice(3)) : random.pick(naughty)]);
    return random.pick(json);
  }
  const event = (): string => {
    const names = [
      "type",
      "data",
      "specversion",
      "id",
      "source",
      "time",
      "subject",
      "correlationId",
      "traceparent",
      "extensions",
      "data_base64",
      "reason",
      "x",
    ];
    const members = names
      .filter((_, i) => random.chance(i < 2 ? 0.95 : type.includes("cloudevents") && i < 5 ? 0.9 : 0.15))
      .map((name) => `${JSON.stringify(name)}:${valueFor(random, name)}`);
    return `{${members.join(",")}}`;
  };
  if (random.chance(0.1)) return random.pick(json);
  return type.includes("batch") || random.chance(0.1)
    ? `[${Array.from({ length: random.int(0, 4) }, event).join(",")}]`
    : event();
}

/** As the document asks for. */
function rightBody(random: Random): string {
  const event = (): string =>
    random.chance(0.5)
      ? `{"type":"Ordered","data":{"orderId":${JSON.stringify("o".repeat(random.int(1, 40)))}}}`
      : `{"type":"Noted","id":"n-${random.int(0, 99)}","data":${random.pick(['"x"', "-0", "1e400", '{"a":[1,2]}'])}}`;
  return random.pick([event(), `[${event()},${event()}]`, '{"reason":"because"}', "{}", ""]);
}

const nearlyRight = (random: Random, name: string): string =>
  name === "specversion"
    ? "1.0"
    : name === "type"
      ? random.pick(["Noted", "Ordered"])
      : name === "time"
        ? "2026-11-23T06:15:00Z"
        : `x-${random.int(0, 50)}`;

function valueFor(random: Random, name: string): string {
  if (name === "data") return random.pick(json);
  if (random.chance(0.6)) return JSON.stringify(nearlyRight(random, name));
  return random.chance(0.7) ? JSON.stringify(random.pick(naughty)) : random.pick(json);
}

/** Some bytes changed, put in, taken out, said twice, or cut off. */
function damaged(random: Random, bytes: Buffer): Buffer {
  let result = Buffer.from(bytes);
  for (let times = random.int(1, 4); times > 0 && result.length > 1; times--) {
    const at = random.int(0, result.length - 1);
    const to = Math.min(result.length, at + random.int(1, 20));
    const [head, piece, tail] = [result.subarray(0, at), result.subarray(at, to), result.subarray(to)];
    const how = random.pick(["change", "insert", "remove", "repeat", "cut"]);
    if (how === "change") result[at] = random.int(0, 255);
    else if (how === "insert") result = Buffer.concat([head, Buffer.of(random.int(0, 255)), piece, tail]);
    else if (how === "remove") result = Buffer.concat([head, tail]);
    else if (how === "repeat") result = Buffer.concat([head, piece, piece, tail]);
    else result = Buffer.from(head);
  }
  return result;
}
