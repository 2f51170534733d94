import { type Command, Option } from "commander";
import type { Duration } from "../../duration.ts";
import type { AccessToken } from "../../runtime/access-token.ts";
import { act, type Call, type Finish, listOption, withCommonOptions } from "../command.ts";
import { plural } from "../format.ts";
import { withLog } from "../open.ts";

interface CreateOptions {
  readonly scope: readonly string[];
  readonly group?: string;
  readonly expires?: string;
  readonly by?: string;
}
interface RotateOptions {
  readonly grace?: string;
  readonly expires?: string;
  readonly by?: string;
}
const by = (): Option => new Option("--by <who>", "kept in the log");
const expires = (): Option => new Option("--expires <duration>", "from now on, such as 90d (default: never)");

export function addToken(program: Command, finish: Finish): void {
  const group = program
    .command("token")
    .description("access tokens for those who call over HTTP: make, list, rotate, revoke them")
    .helpCommand(false);
  const create = group
    .command("create")
    .description("make a token and show it, this once; from the first one on nobody is answered without")
    .argument("<name>", "who or what it is for")
    .addOption(
      listOption(
        "--scope <scopes>",
        "what it may do, separated by commas: publish:TYPE, read:events, read:status, ... * stands for anything",
      ).makeOptionMandatory(),
    )
    .option("--group <group>", "it sees and publishes events of this group only")
    .addOption(expires())
    .addOption(by());
  act<CreateOptions>(withCommonOptions(create), finish, createToken);
  act(withCommonOptions(group.command("list").description("list tokens, without what makes them work")), finish, list);
  const rotate = group
    .command("rotate")
    .description("make a token with the rights of another, which goes on working for a while")
    .argument("<id>", "as `token list` shows it")
    .option("--grace <duration>", "how long the old one goes on working (default: 24h; 0s: not at all)")
    .addOption(new Option("--expires <duration>", "from now on (default: as long as the old one was made for)"))
    .addOption(by());
  act<RotateOptions>(withCommonOptions(rotate), finish, rotateToken);
  const revoke = group
    .command("revoke")
    .description("end a token: servers refuse it within a second, and end its streams within 30")
    .argument("<id>", "as `token list` shows it")
    .addOption(by());
  act<{ readonly by?: string }>(withCommonOptions(revoke), finish, revokeToken);
}

/** The token alone on stdout, so that a script can take it from there. */
function show({ out }: Call, token: string, made: AccessToken): void {
  out.object({ ...made, token });
  out.say(token);
  out.remark(`${made.name}: token ${made.id}. It is shown this once; send it as "Authorization: Bearer TOKEN".`);
}

async function createToken(call: Call<CreateOptions>, name = ""): Promise<void> {
  const { scope: scopes, group, expires: expiresIn, by: who } = call.options;
  await withLog(call, "create", async ({ log }) => {
    const { token, ...made } = await log.tokens.create({
      name,
      scopes,
      ...(group === undefined ? {} : { group }),
      ...(expiresIn === undefined ? {} : { expiresIn: expiresIn as Duration }),
      ...(who === undefined ? {} : { by: who }),
    });
    show(call, token, made);
  });
}

async function rotateToken(call: Call<RotateOptions>, id = ""): Promise<void> {
  const { grace, expires: expiresIn, by: who } = call.options;
  await withLog(call, "refuse", async ({ log }) => {
    const { token, ...made } = await log.tokens.rotate(id, {
      ...(grace === undefined ? {} : { grace: grace as Duration }),
      ...(expiresIn === undefined ? {} : { expiresIn: expiresIn as Duration }),
      ...(who === undefined ? {} : { by: who }),
    });
    show(call, token, made);
  });
}

async function list({ out, ...call }: Call): Promise<void> {
  await withLog({ out, ...call }, "refuse", async ({ log, name }) => {
    const tokens = await log.tokens.list();
    for (const each of tokens) out.object(each);
    if (tokens.length === 0) return out.say(`there are no tokens: over HTTP this machine alone is answered  (${name})`);
    const rows = tokens.map(({ id, name: whose, scopes, group, expiresAt, lastUsedAt }) => [
      id,
      whose,
      scopes.join(","),
      group ?? "-",
      expiresAt?.toISOString() ?? "-",
      lastUsedAt?.toISOString() ?? "never",
    ]);
    out.table(["id", "name", "scopes", "group", "expires", "last used"], rows);
    out.say(`${plural(tokens.length, "token")}: factlog token rotate|revoke ID  (${name})`);
  });
}

async function revokeToken({ out, ...call }: Call<{ readonly by?: string }>, id = ""): Promise<void> {
  const { by: who } = call.options;
  await withLog({ out, ...call }, "refuse", async ({ log }) => {
    await log.tokens.revoke(id, who === undefined ? {} : { by: who });
    const left = (await log.tokens.list()).length;
    out.object({ id, revoked: true, left });
    out.say(`${id} is revoked`);
    if (left === 0) out.remark("it was the last one: over HTTP this machine is answered without a token again.");
  });
}
