/** The crew at work on some documents, from the first request to what the log says of it in the end. */
import { setTimeout } from "node:timers/promises";
import { type App, type Log } from "factlog";
import { researchApp } from "./app.ts";
import type { Document } from "./documents.ts";
import { AnalysisRequested, FactCheckFailed, SectionRead, SummaryGenerated } from "./events.ts";
import type { Model } from "./model.ts";
import { summarise, type Summary } from "./summary.ts";

export const question = "What does the document say is most important?";

export interface Research {
  readonly log: Log;
  readonly model: Model;
  readonly documents: readonly Document[];
  readonly question: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** The app over these documents, and what came of it once nothing is owed any more. */
export async function research(run: Research): Promise<{ readonly app: App; readonly summary: Summary }> {
  const { log, model, documents, say, signal } = run;
  const app = researchApp(model, textsOf(documents));
  const beganMs = performance.now();
  say(`${documents.length} documents for ${model.modelId}`);
  await log.publishAll(documents.map(({ id }) => AnalysisRequested({ documentId: id, question: run.question })));
  await finish(log, app, signal);
  const seconds = Math.round(performance.now() - beganMs) / 1_000;
  return { app, summary: await summarise(log, documents.length, model.modelId, seconds) };
}

export function textsOf(documents: readonly Document[]): (documentId: string) => string | undefined {
  const texts = new Map(documents.map(({ id, text }) => [id, text]));
  return (documentId) => texts.get(documentId);
}

/** Shows what is stated, while it is. */
export async function narrate(log: Log, say: (line: string) => void, over: AbortSignal): Promise<void> {
  const on = [SectionRead, SummaryGenerated, FactCheckFailed];
  for await (const frame of log.follow({ on, from: "now", signal: over })) {
    if (frame.kind !== "event") continue;
    const { type, data } = frame.event;
    if (type === "SectionRead") say(`${data.documentId}: section ${data.section} of ${data.of}`);
    if (type === "SummaryGenerated") say(`${data.documentId}, by ${data.model}:\n${data.text}`);
    if (type === "FactCheckFailed") say(`${data.documentId}: NOT in the document: ${data.missing.join(" | ")}`);
  }
}

/** Until nothing is owed; what failed is tried again when it is due. */
async function finish(log: Log, app: App, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { dueNext } = await log.drain(app, { signal });
    if (signal.aborted || dueNext === undefined) return;
    await setTimeout(Math.max(0, dueNext.getTime() - Date.now()), undefined, { signal }).catch(() => {});
  }
}
