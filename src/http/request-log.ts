import { type Env, realEnv } from "../env.ts";
import type { Logger } from "../index.ts";
import type { Access } from "./access.ts";

export interface RequestEntry {
  readonly seen: (access: Access) => void;
  readonly answered: (status: number) => void;
}

/**
 * One line for each request, at its answer (of a stream: as it begins). Nothing that a caller may keep secret: no query, no header, no
 * body, and of the path no more than it takes to know it.
 */
export function requestLog(logger: Logger, env: Env = realEnv): (request: Request) => RequestEntry {
  return ({ method, url }) => {
    const beganMs = env.monotonic();
    const path = URL.canParse(url) ? new URL(url).pathname.slice(0, 200) : "";
    let caller: string | undefined;
    return {
      seen: (access) => (caller = access.caller),
      answered: (status) => {
        const ms = Math.round((env.monotonic() - beganMs) * 10) / 10;
        logger.info("request", { method, path, status, ms, ...(caller === undefined ? {} : { caller }) });
      },
    };
  };
}
