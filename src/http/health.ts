import type { Log } from "../index.ts";
import { json } from "./call.ts";

export const isHealth = (path: string): boolean => path === "/livez" || path === "/readyz";

/** For whoever starts and stops processes: no rights needed, nothing told. Undefined for any other path. */
export async function healthOf(path: string, request: Request, log: Log): Promise<Response | undefined> {
  if (!isHealth(path) || (request.method !== "GET" && request.method !== "HEAD")) return undefined;
  if (path === "/livez") return json({ live: true });
  try {
    await log.head();
    return json({ ready: true });
  } catch {
    return json({ ready: false }, 503);
  }
}
