/** Any server that speaks OpenAI's chat completions, by its address; without one, the stand-in. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModel } from "ai";
import { InputError } from "./documents.ts";
import { extractive } from "./extractive.ts";

export type Model = Exclude<LanguageModel, string>;

export function modelOf(env: NodeJS.ProcessEnv): Model {
  const { FACTLOG_MODEL: id, FACTLOG_MODEL_URL: baseURL, FACTLOG_MODEL_KEY: apiKey } = env;
  if (id === undefined && baseURL === undefined) return extractive;
  if (id === undefined || baseURL === undefined) {
    throw new InputError("FACTLOG_MODEL and FACTLOG_MODEL_URL belong together: set both, or none for the stand-in");
  }
  return createOpenAICompatible({ name: "server", baseURL, ...(apiKey === undefined ? {} : { apiKey }) })(id);
}
