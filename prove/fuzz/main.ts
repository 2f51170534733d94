/**
 * Requests near to what the OpenAPI document asks for, damaged more or less, against a real server in a process of its own.
 * `npm run fuzz [-- --requests 5000] [--seed S] [--json]`. Nothing a client sends may be the server's fault, or end it.
 */
import { connect } from "node:net";
import { openapiOf } from "../../src/http/openapi.ts";
import { routes } from "../../src/http/routes.ts";
import { Random } from "../../sim/random.ts";
import { Child } from "../child.ts";
import { conclude, optionsOf } from "../options.ts";
import { inDirectory } from "../scratch.ts";
import { operationsIn, requestFor } from "./requests.ts";

const { requests, seed, json } = optionsOf({ requests: 5_000 });
const operations = operationsIn(openapiOf(routes, "/v1"));
const random = new Random(seed);
/** A request that has not been answered for this long hangs. */
const answerMaxMs = 20_000;
const atOnce = 8;

interface Said {
  readonly port?: number;
  readonly surprise?: string;
  readonly unwell?: readonly unknown[];
}

await inDirectory(async (path) => {
  const startedMs = performance.now();
  const surprises: string[] = [];
  let unwell: readonly unknown[] | undefined;
  const listening = Promise.withResolvers<number>();
  const server = new Child("./fuzz/server-process.ts", [`sqlite:${path("fuzz.db")}`], (said) => {
    const { port, surprise, unwell: found } = said as Said;
    if (port !== undefined) listening.resolve(port);
    if (surprise !== undefined) surprises.push(surprise);
    if (found !== undefined) unwell = found;
  });
  const ended = server.ended.then(() => 0);
  const port = await Promise.race([listening.promise, ended]);
  const statuses: Record<string, number> = {};
  const wrong: string[] = [];
  let [left, hung] = [requests, 0];
  const work = async (): Promise<void> => {
    while (left-- > 0 && server.exit === undefined) {
      const bytes = requestFor(random, operations);
      const status = await statusOf(port, bytes);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === "hung") hung++;
      if (status === "hung" || (status.startsWith("5") && status !== "503" && status !== "505"))
        wrong.push(`${status}: ${JSON.stringify(bytes.subarray(0, 600).toString("latin1"))}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const ready = server.exit === undefined && (await alive(port));
  server.hangUp();
  const exit = await server.ended;
  const crashed = !ready || exit.code !== 0;
  const serverErrors = wrong.length - hung;
  for (const what of [...wrong, ...surprises].slice(0, 10)) console.log(`seed=${seed}: ${what}`);
  if (crashed) for (const line of server.errors.slice(0, 20)) console.log(line);
  // Where nothing comes through, nothing was tried.
  const through = (statuses["202"] ?? 0) > 0 && (statuses["200"] ?? 0) > 0;
  const ok = through && !crashed && wrong.length === 0 && surprises.length === 0 && unwell?.length === 0;
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  const well = unwell?.length === 0;
  conclude(
    { ok, seed, requests, serverErrors, crashed, hung, surprises: surprises.length, well, statuses, seconds },
    json,
  );
});

/** The status of the first answer; "none" where the connection was closed without one. The answer's body is not waited for. */
function statusOf(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const finish = (status: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(status);
    };
    const timer = setTimeout(() => finish("hung"), answerMaxMs);
    socket.on("error", () => {});
    socket.on("close", () => finish("none"));
    socket.on("data", (chunk: Uint8Array) => {
      text += Buffer.from(chunk).toString("latin1");
      const status = /^HTTP\/1\.1 ([2-5]\d\d)/u.exec(text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/u, ""))?.[1];
      if (status !== undefined) finish(status);
    });
    // No more will come: what was cut off in the middle is not waited for.
    socket.end(bytes);
  });
}

async function alive(port: number): Promise<boolean> {
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
  const published = await fetch(`http://127.0.0.1:${port}/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"Noted","data":"still here"}',
  }).catch(() => undefined);
  return ready?.status === 200 && published?.status === 202;
}
