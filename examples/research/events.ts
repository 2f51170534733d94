/** The facts of an analysis. Each is about one document. */
import { defineEvent } from "factlog";
import { z } from "zod";

const about = { documentId: z.string() };
const key = (data: { readonly documentId: string }): string => data.documentId;
/** What a model was asked for, and what it cost: null where nobody knows. */
const cost = { model: z.string(), modelCalls: z.int(), usd: z.number().nullable() };

export const AnalysisRequested = defineEvent("AnalysisRequested", {
  schema: z.object({ ...about, question: z.string() }),
  key,
  id: ({ documentId, question }) => `${documentId}: ${question}`.slice(0, 200),
});
export const AnalysisValidated = defineEvent("AnalysisValidated", {
  schema: z.object({ ...about, question: z.string() }),
  key,
});
export const AnalysisRejected = defineEvent("AnalysisRejected", {
  schema: z.object({ ...about, reason: z.string() }),
  key,
});
/** Progress: stated at once, whatever becomes of the run. */
export const SectionRead = defineEvent("SectionRead", {
  schema: z.object({ ...about, section: z.int(), of: z.int() }),
  key,
});
export const ResearchComplete = defineEvent("ResearchComplete", {
  schema: z.object({ ...about, question: z.string(), quotes: z.array(z.string()), ...cost }),
  key,
});
export const SummaryGenerated = defineEvent("SummaryGenerated", {
  schema: z.object({ ...about, text: z.string(), ...cost }),
  key,
});
export const FactChecked = defineEvent("FactChecked", {
  schema: z.object({ ...about, quotes: z.int() }),
  key,
});
export const FactCheckFailed = defineEvent("FactCheckFailed", {
  schema: z.object({ ...about, missing: z.array(z.string()), reason: z.string() }),
  key,
});
