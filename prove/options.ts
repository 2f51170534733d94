import { parseArgs } from "node:util";

/**
 * What all scripts here take, and whole numbers of their own: `--NAME N`, and switches: `--NAME`. `engine`: where it may be
 * another than SQLite.
 */
export function optionsOf<Name extends string, Switch extends string = never>(
  numbers: Readonly<Record<Name, number>>,
  switches: readonly Switch[] = [],
): Readonly<Record<Name, number> & Record<Switch, boolean>> & {
  readonly json: boolean;
  readonly seed: number;
  readonly engine: "sqlite" | "postgres";
} {
  const names = [...Object.keys(numbers), "seed"];
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      engine: { type: "string", default: "sqlite" },
      ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
      ...Object.fromEntries(switches.map((name) => [name, { type: "boolean" as const, default: false }])),
    },
  });
  const given = values as Readonly<Record<string, string | boolean | undefined>>;
  const numberOf = (name: string, fallback: number): number => {
    const value = given[name] === undefined ? fallback : Number(given[name]);
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} takes a whole number`);
    return value;
  };
  const engine: "sqlite" | "postgres" = given["engine"] === "postgres" ? "postgres" : "sqlite";
  if (given["engine"] !== engine) throw new Error("--engine takes sqlite or postgres");
  const own = Object.entries<number>(numbers).map(([name, fallback]) => [name, numberOf(name, fallback)] as const);
  return {
    ...(Object.fromEntries(own) as Record<Name, number>),
    ...(Object.fromEntries(switches.map((name) => [name, given[name] === true])) as Record<Switch, boolean>),
    json: given["json"] === true,
    engine,
    seed: numberOf("seed", Date.now() % 1_000_000_000),
  };
}

/** The last words of a script: one JSON line or one for people. */
export function conclude(summary: { readonly ok: boolean } & Readonly<Record<string, unknown>>, json: boolean): void {
  if (json) console.log(JSON.stringify(summary));
  else {
    const { ok, ...figures } = summary;
    const told = Object.entries(figures).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
    console.log(`${ok ? "ok" : "NOT OK"}: ${told.join(", ")}`);
  }
  process.exitCode = summary.ok ? 0 : 1;
}
