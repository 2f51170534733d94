/** Every link from a document to a file of the repository leads somewhere. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { documents, proseOf } from "./markdown.ts";

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");

const anchorsOf = (path: string): Set<string> =>
  new Set([...readFileSync(path, "utf8").matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading)));

function broken(path: string): string[] {
  return [...proseOf(path).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [file = "", anchor] = link.split("#");
    const target = file === "" ? path : posix.join(posix.dirname(path), file);
    const leads = existsSync(target) && (anchor === undefined || anchorsOf(target).has(anchor));
    return leads ? [] : [`${path}: ${link}`];
  });
}

test("links within the repository lead somewhere", () => {
  assert.ok(documents().length > 10);
  assert.deepEqual(documents().flatMap(broken), []);
});

test("an anchor is made as GitHub makes it", () => {
  assert.equal(anchorOf("`hold-key`, and what it holds"), "hold-key-and-what-it-holds");
});
