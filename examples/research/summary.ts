/** What came of it, by the log alone. */
import type { Log } from "factlog";
import { AnalysisRejected, FactCheckFailed, FactChecked, ResearchComplete, SummaryGenerated } from "./events.ts";
import { extractiveName } from "./extractive.ts";

export interface Summary {
  readonly documents: number;
  readonly rejected: number;
  readonly summaries: number;
  readonly factChecked: number;
  readonly factCheckFailed: number;
  readonly modelCalls: number;
  readonly model: string;
  readonly seconds: number;
  readonly ok: boolean;
}

export async function summarise(log: Log, documents: number, model: string, seconds: number): Promise<Summary> {
  const on = [AnalysisRejected, ResearchComplete, SummaryGenerated, FactChecked, FactCheckFailed];
  const counts = new Map<string, number>();
  let modelCalls = 0;
  for await (const { type, data } of log.read({ on })) {
    counts.set(type, (counts.get(type) ?? 0) + 1);
    if ("modelCalls" in data) modelCalls += data.modelCalls;
  }
  const count = (type: { readonly type: string }): number => counts.get(type.type) ?? 0;
  const rejected = count(AnalysisRejected);
  const summaries = count(SummaryGenerated);
  const [factChecked, factCheckFailed] = [count(FactChecked), count(FactCheckFailed)];
  const isWell = (await log.inspect()).every((finding) => finding.ok);
  const isWhole = summaries + rejected === documents && factChecked + factCheckFailed === summaries;
  // What only copies cannot misquote.
  const ok = isWell && isWhole && (model !== extractiveName || factCheckFailed === 0);
  return { documents, rejected, summaries, factChecked, factCheckFailed, modelCalls, model, seconds, ok };
}
