/** docs/guides/http.md: the log over HTTP, from an application's own server. */
import { createServer } from "node:http";
import { defineApp, defineEvent, defineSubscription, openLog } from "factlog";
import { follow, publish } from "factlog/client";
import { type Accepted, httpApi, type Problem } from "factlog/http";
import { z } from "zod";

const Asked = defineEvent("Asked", { schema: z.object({ id: z.string(), n: z.int() }), id: (asked) => asked.id });
const Answered = defineEvent("Answered", { schema: z.object({ square: z.int() }) });
const squares = defineSubscription("squares", { on: Asked, emits: [Answered], from: "beginning" }, (event, ctx) => {
  ctx.emit(Answered({ square: event.data.n ** 2 }));
});
const app = defineApp({ name: "maths", subscriptions: [squares] });
const port = 0;

// #region serve
const log = await openLog("memory:", { source: app.name });
const api = httpApi(log, app); // for this machine alone: see below
const server = createServer(api.node).listen(port, "127.0.0.1");
// #endregion
await new Promise((resolve) => server.once("listening", resolve));
const worker = await log.work(app);
const origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;

// #region publish
const response = await fetch(`${origin}/v1/events`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ type: "Asked", data: { id: "q-1", n: 12 } }),
});
const { id, duplicate, streamUrl } = (await response.json()) as Accepted;
console.log(response.status, id, duplicate);
// #endregion

const stream = await (await fetch(new URL(streamUrl, origin))).text();
console.log(stream.match(/^(event: .*|data: \{"status.*)$/gm)?.join("\n"));

// #region client
const accepted = await publish(`${origin}/v1/events`, Asked({ id: "q-2", n: 7 }));
for await (const frame of follow(accepted.streamUrl, { on: [Asked, Answered] })) {
  if (frame.kind === "event" && frame.event.type === "Answered") console.log(frame.event.data.square);
  if (frame.kind === "end") console.log(frame.status);
}
// #endregion

// #region authorize
const tenants = httpApi(log, app, {
  basePath: "/api/factlog",
  authorize: (request) => {
    const user = sessionOf(request.headers.get("cookie"));
    return user === undefined ? null : { scopes: ["publish:Asked", "read:events"], group: user.tenant };
  },
});
// #endregion
const nobody = await tenants.fetch(new Request("https://maths.example/api/factlog/events"));
console.log(nobody.status, ((await nobody.json()) as Problem).code);

function sessionOf(cookie: string | null): { readonly tenant: string } | undefined {
  return cookie === "session=1" ? { tenant: "t-1" } : undefined;
}
// #region close
await api.close(); // ends the streams; their readers come again
server.close();
// #endregion
server.closeAllConnections();
await worker.stop();
await log.close();

// Output:
// 202 q-1 false
// event: event
// event: event
// event: end
// data: {"status":"settled"}
// 49
// settled
// 401 UNAUTHENTICATED
