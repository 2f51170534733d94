import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

/** Why there is no promtool here (of Debian's package `prometheus`), or false. */
export const noPromtool: string | false =
  spawnSync("promtool", ["--version"]).error === undefined ? false : "no promtool";

export interface Scraped {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const label = String.raw`([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"`;
const sampleForm = new RegExp(
  String.raw`^([a-zA-Z_:][\w:]*)(?:\{(${label}(?:,${label})*)\})? (NaN|[+-]Inf|-?[\d.e+-]+)$`,
);
const escapes: Readonly<Record<string, string>> = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** The samples of an exposition; fails where a line is none, a family has no help and type before it, or stands twice. */
export function samplesIn(text: string): readonly Scraped[] {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const families = new Set<string>();
  const seen = new Set<string>();
  let family = "";
  return text
    .slice(0, -1)
    .split("\n")
    .flatMap((line) => {
      const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
      if (kind === "HELP") {
        assert.ok(name !== undefined && !families.has(name), `one family: ${line}`);
        families.add(name);
        family = name;
        return [];
      }
      if (kind === "TYPE") {
        assert.equal(name, family);
        assert.equal(rest === "counter", family.endsWith("_total"), line);
        return [];
      }
      const found = sampleForm.exec(line);
      assert.ok(found !== null && found[1] === family, `a sample: ${line}`);
      const key = `${found[1]}{${found[2]}}`;
      assert.ok(!seen.has(key) || found[2] === undefined, `once: ${line}`);
      seen.add(key);
      const labels = Object.fromEntries(
        [...(found[2] ?? "").matchAll(new RegExp(label, "g"))].map(([, name_ = "", value = ""]) => [
          name_,
          value.replaceAll(/\\["\\n]/g, (each) => escapes[each] ?? each),
        ]),
      );
      return [{ name: family, labels, value: Number(found.at(-1)?.replace("Inf", "Infinity")) }];
    });
}
