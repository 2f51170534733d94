import { FactlogError } from "../errors.ts";
import type { Problem } from "../http/problem.ts";

/** What the server said, as the error that it threw there. */
export async function refusalOf(response: Response): Promise<FactlogError> {
  const text = await response.text().catch(() => "");
  const problem = problemIn(text);
  if (problem === undefined)
    return new FactlogError("NOT_SUPPORTED", `${response.url} answered ${response.status}, and is no Factlog.`, {
      details: { status: response.status },
      retryable: passes(response.status),
    });
  const { code, detail, retryable, details = {} } = problem;
  return new FactlogError(code, detail, { retryable: retryable || passes(response.status), details });
}

function problemIn(text: string): Problem | undefined {
  try {
    const problem = JSON.parse(text) as Problem | null;
    return typeof problem?.code === "string" && typeof problem.detail === "string" ? problem : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it may be otherwise in a moment, whoever answered: a proxy in front is not us. */
export const passes = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 502;
