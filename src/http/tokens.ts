import { FactlogError } from "../errors.ts";
import type { Duration } from "../index.ts";
import { allows } from "./access.ts";
import { type Call, json, type Route } from "./call.ts";
import { fieldsIn, textField } from "./fields.ts";
import { pathParameter } from "./parameters.ts";
import { invalid } from "./plain.ts";

const about = { scope: "admin:tokens", wholeLog: true } as const;

export const tokenRoutes: readonly Route[] = [
  {
    ...about,
    method: "GET",
    path: "/tokens",
    operationId: "listTokens",
    summary: "Access tokens, expired ones included, without what makes them work.",
    parameters: [],
    answer: "Tokens",
    handle: async ({ log }) => json({ tokens: await log.tokens.list() }),
  },
  {
    ...about,
    method: "POST",
    path: "/tokens",
    operationId: "createToken",
    summary: "Makes an access token with rights that the caller has too, and shows it this once.",
    parameters: [],
    body: "NewToken",
    answer: "Token",
    handle: create,
  },
  {
    ...about,
    method: "POST",
    path: "/tokens/{id}/revoke",
    operationId: "revokeToken",
    summary: "The token works no longer.",
    parameters: [pathParameter("id", "As the list shows it.")],
    body: "Revoke",
    answer: "Revoked",
    handle: revoke,
  },
];

async function create(call: Call): Promise<Response> {
  const { access, log } = call;
  const fields = await fieldsIn(call, ["name", "scopes", "group", "expiresIn"]);
  const scopes = fields.get("scopes");
  if (!Array.isArray(scopes) || scopes.some((scope) => typeof scope !== "string"))
    throw invalid("scopes", 'are no list of texts: send {"name": "...", "scopes": ["read:events"]}.');
  for (const scope of scopes as readonly string[])
    if (!allows(access, scope)) throw new FactlogError("FORBIDDEN", "nobody gives rights that it has not itself.");
  const [group, expiresIn] = [textField(fields, "group"), textField(fields, "expiresIn")];
  const made = await log.tokens.create({
    name: textField(fields, "name") ?? "",
    scopes: scopes as readonly string[],
    ...(group === undefined ? {} : { group }),
    ...(expiresIn === undefined ? {} : { expiresIn: expiresIn as Duration }),
    ...(access.caller === undefined ? {} : { by: access.caller }),
  });
  return json(made);
}

async function revoke(call: Call): Promise<Response> {
  await fieldsIn(call, []);
  const id = call.path("id");
  await call.log.tokens.revoke(id, call.access.caller === undefined ? {} : { by: call.access.caller });
  return json({ id, revoked: true });
}
