import { type CallBeginning, callBeginning } from "../observe/channels.ts";

/** Runs a call as the listeners of its beginning want. `tokens`: of its answer. */
export async function callTold<T>(
  facts: Pick<CallBeginning, "operation" | "name" | "provider" | "subscription">,
  run: () => Promise<T>,
  tokens?: (answer: T) => CallBeginning["tokens"],
): Promise<T> {
  if (!callBeginning.hasSubscribers) return run();
  const beginning: CallBeginning = { ...facts };
  callBeginning.publish(beginning);
  const told = async (): Promise<T> => {
    const answer = await run();
    const used = tokens?.(answer);
    if (used !== undefined) beginning.tokens = used;
    return answer;
  };
  return beginning.around === undefined ? told() : (beginning.around(told) as Promise<T>);
}
