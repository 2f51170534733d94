import { createHash } from "node:crypto";
import { limits } from "../limits.ts";

/** A thrown value, made safe to store and to show. */
export interface FailureText {
  readonly error: string;
  readonly fingerprint: string;
}

/**
 * Text and fingerprint of any thrown value: null, proxies that throw, circular objects and stacks of megabytes included.
 * Secrets are blanked; at most `limits.errorBytesMax` bytes. Never throws.
 */
export function describeFailure(failureClass: string, error: unknown): FailureText {
  const text = cut(redact(textOf(error)), limits.errorBytesMax);
  return { error: text, fingerprint: fingerprint(failureClass, text) };
}

function textOf(error: unknown): string {
  try {
    if (error instanceof Error) return errorText(error, 3);
    if (typeof error === "string") return error;
    if (typeof error === "object" && error !== null)
      return JSON.stringify(error) ?? "thrown: an object without a JSON form";
    return `thrown: ${String(error)}`;
  } catch {
    return "thrown: a value that cannot be shown";
  }
}

function errorText(error: Error, depth: number): string {
  const own = typeof error.stack === "string" && error.stack !== "" ? error.stack : `${error.name}: ${error.message}`;
  const head = own.slice(0, limits.errorBytesMax);
  if (depth === 0 || error.cause === undefined) return head;
  return `${head}\ncaused by: ${error.cause instanceof Error ? errorText(error.cause, depth - 1) : textOf(error.cause)}`;
}

const secrets: readonly (readonly [RegExp, string])[] = [
  [/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:)[^\s@/]+@/giu, "$1***@"],
  [/\b(bearer|basic)\s+[\w~+/.=-]{6,}/giu, "$1 ***"],
  [/\bfactlog_([0-9a-f]{12})_[0-9a-f]+/giu, "factlog_$1_***"],
  [/\bwhsec_[\w+/=-]+/gu, "whsec_***"],
  [/\b(sk|pk|ghp|gho|xox[abp])[-_][\w-]{8,}/gu, "$1_***"],
  [/((?:password|passwd|secret|token|api[-_]?key)["']?\s*[:=]\s*["']?)[^\s"',;&]+/giu, "$1***"],
];

/** Blanks what looks like a credential: user info of URLs, authorization headers, typed tokens, `password=...`. */
export function redact(text: string): string {
  let clean = text.slice(0, 4 * limits.errorBytesMax);
  for (const [pattern, replacement] of secrets) clean = clean.replace(pattern, replacement);
  return clean;
}

function cut(text: string, bytesMax: number): string {
  const well = text.toWellFormed().replaceAll("\0", "\u2400");
  const bytes = Buffer.from(well);
  if (bytes.length <= bytesMax) return well;
  return `${bytes
    .subarray(0, bytesMax - 16)
    .toString("utf8")
    .replace(/\ufffd+$/u, "")} [cut]`;
}

/** Groups failures that look alike: class, message without its numbers, ids and quoted parts, and the top frame. */
function fingerprint(failureClass: string, text: string): string {
  const [message = "", ...frames] = text.split("\n");
  const frame = frames.find((line) => line.trimStart().startsWith("at ")) ?? "";
  const normal = message.replace(/(["'`]).*?\1/gu, "?").replace(/[0-9a-f]{8,}|\d+/giu, "?");
  const top = frame.replace(/:\d+:\d+/u, "").trim();
  return createHash("sha256").update(`${failureClass}\n${normal}\n${top}`).digest("hex").slice(0, 16);
}
