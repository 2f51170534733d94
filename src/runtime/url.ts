import type { EngineHandle } from "../engine/engine.ts";
import { memory } from "../engines/memory/index.ts";
import { FactlogError } from "../errors.ts";
import { pair } from "./store.ts";

export type LogAddress =
  | string
  | EngineHandle
  | { readonly log: string | EngineHandle; readonly ledger: string | EngineHandle };

/** The engine that an address names. A driver is loaded only when it is named. */
export async function engineOf(address: LogAddress): Promise<EngineHandle> {
  if (typeof address === "string") return engineOfUrl(address);
  if ("log" in address) return pair(await engineOf(address.log), await engineOf(address.ledger));
  return address;
}

async function engineOfUrl(url: string): Promise<EngineHandle> {
  if (url === "memory:" || url.startsWith("memory:")) return memory();
  if (url.startsWith("sqlite:")) return (await import("../engines/sqlite/index.ts")).sqlite(url);
  if (/^postgres(ql)?:/iu.test(url)) return (await import("../engines/postgres/index.ts")).postgres(url);
  const scheme = /^([a-z][a-z0-9+.-]*):/iu.exec(url)?.[1];
  const advice = 'give "sqlite:FILE", "postgres://HOST/DATABASE" or "memory:"';
  if (scheme === undefined)
    throw new FactlogError(
      "INVALID_OPTION",
      `${JSON.stringify(url)} is no log: ${advice}, for example "sqlite:${url}".`,
    );
  throw new FactlogError("NOT_SUPPORTED", `this version has no engine for ${scheme}: ${advice}.`, {
    details: { scheme },
  });
}
