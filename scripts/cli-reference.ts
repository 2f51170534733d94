/** Writes docs/reference/cli.md from the command line itself; a test holds the two together. */
import { writeFileSync } from "node:fs";
import type { Argument, Command, Option } from "commander";
import { exitCodeTable } from "../src/cli/exit-codes.ts";
import { factlogCommand } from "../src/cli/program.ts";

export const referencePath = "docs/reference/cli.md";

const introduction = `# Command line

\`npx factlog COMMAND\`, with the package installed. Made from the program's own help by \`node scripts/cli-reference.ts\`.

**Which log.** \`--url\`, else the environment variable \`FACTLOG_URL\`, else \`.factlog/dev.db\` where \`factlog dev\` has made one in
this folder, else \`factlog.db\`. Every command says which one it took. An address with a password belongs into \`FACTLOG_URL\`:
arguments are visible to every process of the machine. Only \`publish\`, \`dev\`, \`start\` and \`subscription create\` make a log
that is not there.

**Which app.** \`publish\` checks data by the schemas of an app, and \`subscription create\` takes a definition from one: the file
named by \`--app\`, else \`app.ts\`, \`app.mts\`, \`app.js\` or \`app.mjs\` here. Node loads TypeScript as it is, so it has to be
[erasable](https://nodejs.org/api/typescript.html#type-stripping).

**Output.** Results go to stdout, errors and remarks to stderr. What could command a terminal (control characters, marks that turn
the direction of text) is shown as an escape, wherever it comes from; credentials in errors and addresses are blanked.`;

const json = `With \`--json\` stdout holds JSON only, one object or one a line, and an error is one line on stderr,
\`{"error":{"code","message","retryable","details"}}\`:

| command | prints |
|---|---|
| \`tail\` | an event a line, as [CloudEvents](cloudevents.md) with the data as stored |
| \`dead list\` | a dead letter a line |
| \`dead show\` | one object, with \`event\` and every failure in \`attempts\` |
| \`dev\` | an object a line with \`kind\`: \`opened\`, \`started\`, \`delivery\`, \`worker\`, \`log\`, \`died\`, \`failed\`, \`waiting\`, \`restarted\`, \`stopped\` |
| \`publish\` | a receipt a line |
| \`status\` | one object with \`subscriptions\`, with \`--watch\` one a second; \`doctor\`: one with \`ok\` and \`findings\`; \`demo\`: its summary |
| \`trace\` | one object; \`tree\` holds every event as a CloudEvent with its \`depth\`, each before what it has caused |
| others | one object that says what was done |

\`start\` logs JSON lines on stderr whether it is given or not.`;

const cell = (text: string): string => text.replaceAll("|", "\\|");
const code = (text: string): string => `\`${cell(text)}\``;

function tableOf(headings: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return "";
  return [`| ${headings.join(" | ")} |`, "|---|---|", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n");
}

function argumentText(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}
const argumentRow = (argument: Argument): readonly [string, string] => [
  code(argumentText(argument)),
  cell(argument.description),
];
function optionRow({ flags, description, argChoices, mandatory }: Option): readonly [string, string] {
  const choices = argChoices === undefined ? "" : `${description === "" ? "" : ": "}${argChoices.join(", ")}`;
  return [code(flags), cell(`${description}${choices}${mandatory ? " (required)" : ""}`)];
}

/** Options that every command has are said once. */
const common = new Set(["--json", "--verbose", "--url"]);

function sectionOf(command: Command, path: string): string {
  const own = `${path} ${command.name()}`;
  const subcommands = command.commands.map((each) => sectionOf(each, own));
  if (subcommands.length > 0) return subcommands.join("\n\n");
  const usage = [own, ...command.registeredArguments.map(argumentText)].join(" ");
  const described = command.registeredArguments.filter((each) => each.description !== "");
  const options = command.options.filter((option) => !common.has(option.long ?? ""));
  return [
    `### \`${usage}\``,
    `${command.description().replace(/^./u, (letter) => letter.toUpperCase())}.`,
    tableOf(["argument", ""], described.map(argumentRow)),
    tableOf(["option", ""], options.map(optionRow)),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** The page as it should stand in the repository. */
export function referencePage(): string {
  const program = factlogCommand(() => {});
  const [status] = program.commands.filter((each) => each.name() === "status");
  const shared = status?.options.filter((option) => common.has(option.long ?? "")) ?? [];
  return `${[
    introduction,
    json,
    "## Exit codes",
    tableOf(
      ["code", "meaning"],
      exitCodeTable.map(([exitCode, meaning]) => [String(exitCode), cell(meaning)]),
    ),
    "## Commands",
    "All commands take these, but for `--url` with `init` and `demo`:",
    tableOf(["option", ""], shared.map(optionRow)),
    ...program.commands.map((command) => sectionOf(command, "factlog")),
  ].join("\n\n")}\n`;
}

if (import.meta.main) writeFileSync(referencePath, referencePage());
