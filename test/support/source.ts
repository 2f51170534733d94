import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import ts from "typescript-5.9";

/** The repository's files matching a pattern, as paths from its root with forward slashes. */
export function filesMatching(pattern: string): string[] {
  return globSync(pattern)
    .map((path) => path.replaceAll("\\", "/"))
    .toSorted();
}

/** Every file under version control that still exists, as paths from the root. */
export function trackedFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z"], { encoding: "utf8" }).split("\0");
  const deleted = new Set(execFileSync("git", ["ls-files", "-z", "--deleted"], { encoding: "utf8" }).split("\0"));
  return listed.filter((path) => path !== "" && !deleted.has(path));
}

/** The specifiers a source imports or re-exports, types and `import()` included; not those in comments or strings. */
export function importsOf(source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map((file) => file.fileName);
}

export interface CodeShape {
  /** The source with comments and the contents of strings blanked, line numbers kept. */
  readonly code: string;
  readonly functions: readonly { readonly name: string; readonly line: number; readonly lines: number }[];
}

export function shapeOf(path: string, source: string = readFileSync(path, "utf8")): CodeShape {
  const tree = ts.createSourceFile(path, source, ts.ScriptTarget.ESNext, true);
  const functions: { name: string; line: number; lines: number }[] = [];
  const kept: string[] = Array.from(source, (char) => (char === "\n" ? "\n" : " "));
  const lineOf = (position: number): number => tree.getLineAndCharacterOfPosition(position).line;

  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return;
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const line = lineOf(node.getStart());
      const name = node.name?.getText() ?? "(anonymous)";
      functions.push({ name, line: line + 1, lines: lineOf(node.getEnd()) - line + 1 });
    }
    const children = node.getChildren();
    if (children.length > 0) return children.forEach(visit);
    if (ts.isStringLiteralLike(node) || ts.isTemplateMiddleOrTemplateTail(node) || ts.isTemplateHead(node)) return;
    for (let at = node.getStart(); at < node.getEnd(); at++) kept[at] = source.charAt(at);
  };
  visit(tree);
  return { code: kept.join(""), functions };
}
