import { type Command, Option } from "commander";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { plural } from "../format.ts";
import { withLog } from "../open.ts";

interface AnswerOptions {
  readonly by: string;
  readonly comment?: string;
}

export function addApprovals(program: Command, finish: Finish): void {
  const list = program.command("approvals").description("list what handlers ask of people");
  act(withCommonOptions(list), finish, listApprovals);
  for (const [name, approved, says] of [
    ["approve", true, "say yes to what a handler asks; it goes on"],
    ["reject", false, "say no to what a handler asks; it goes on"],
  ] as const) {
    const command = program
      .command(name)
      .description(says)
      .argument("<id>", "as `approvals` shows it")
      .addOption(new Option("--by <who>", "kept in the log").makeOptionMandatory())
      .option("--comment <text>", "kept in the log, and given to the handler");
    act<AnswerOptions>(withCommonOptions(command), finish, (call, id) => answer(call, id, approved));
  }
}

async function listApprovals({ out, ...call }: Call): Promise<void> {
  await withLog({ out, ...call }, "refuse", async ({ log, name }) => {
    const rows: string[][] = [];
    for await (const each of log.operator.approvals()) {
      out.object(each);
      await out.ready();
      if (!out.json) rows.push([each.id, each.summary, each.assignee ?? "-", each.expiresAt?.toISOString() ?? "-"]);
    }
    if (rows.length === 0) return out.say(`nobody is asked for anything  (${name})`);
    out.table(["id", "summary", "assignee", "expires"], rows);
    out.say(`${plural(rows.length, "approval")}: factlog approve|reject ID --by NAME  (${name})`);
  });
}

async function answer(call: Call<AnswerOptions>, id = "", approved: boolean): Promise<void> {
  const { out, options } = call;
  await withLog(call, "refuse", async ({ log }) => {
    const { by, comment } = options;
    await log.operator.answer(id, { approved, by, ...(comment === undefined ? {} : { comment }) });
    out.object({ id, approved, by });
    out.say(`${id} is ${approved ? "approved" : "rejected"}`);
  });
}
