import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Bug } from "./bug.ts";
import { caughtByOneMax, type LayerName, layerNames, layers } from "./layers.ts";

/** What each layer said to each bug; undefined: nothing. */
export type Matrix = ReadonlyMap<string, Map<LayerName, string | undefined>>;

const path = fileURLToPath(new URL("../../docs/reference/sabotage.md", import.meta.url));

const head = `# Sabotage drill

Tests that nobody has seen red prove nothing. So bugs are planted, one after the other, on a copy of the sources, and a layer
of the proofs must see each of them. In the same run every layer must be content with the sources as they are.

\`\`\`
npm run sabotage                                       # all bugs, each against the layer that must catch it
npm run sabotage -- --only "ack before commit"         # one; --quick: the five that CI plants
npm run sabotage -- --layers all                       # every bug against every layer; --write: and this page anew
\`\`\`

A bug is a patch on the product itself, compiles, and counts as caught only where the layer names a broken promise: a failed
check or a violated invariant, not a process that fell over.
`;

/** Publishes what was seen; `everyLayer`: with all that each layer saw beside what it must catch. */
export function writePage(bugs: readonly Bug[], matrix: Matrix, everyLayer: boolean): void {
  const saw = (name: string, layer: LayerName): string | undefined => matrix.get(name)?.get(layer);
  const listed = bugs.map(({ name, what, layer }) => `| ${name} | ${what} | ${layer} | ${inCell(saw(name, layer))} |`);
  const counts = layerNames.map((layer) => {
    const must = bugs.filter((bug) => bug.layer === layer).length;
    return `| ${layer} | ${layers[layer].what} | ${must} |`;
  });
  const text = [
    head,
    "## The bugs, and who must catch them",
    "",
    "| Bug | What is wrong | Layer | What it said |",
    "|---|---|---|---|",
    ...listed,
    "",
    "## The layers",
    "",
    `No layer is to catch more than ${caughtByOneMax}.`,
    "",
    "| Layer | What it is | Must catch |",
    "|---|---|---:|",
    ...counts,
    "",
    ...(everyLayer ? whoSeesWhat(bugs, saw) : []),
  ];
  writeFileSync(path, text.join("\n"));
}

function whoSeesWhat(
  bugs: readonly Bug[],
  saw: (name: string, layer: LayerName) => string | undefined,
): readonly string[] {
  const marks = bugs.map(({ name, layer }) => {
    const cells = layerNames.map((each) => (saw(name, each) === undefined ? "" : each === layer ? "**x**" : "x"));
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  const rule = `|---|${layerNames.map(() => ":-:|").join("")}`;
  return ["## Who sees what", "", `| Bug | ${layerNames.join(" | ")} |`, rule, ...marks, ""];
}

/** Text as one cell of a table. */
const inCell = (text = ""): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
