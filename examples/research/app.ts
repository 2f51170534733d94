/** Four readers, one after the other. The two in the middle call a model, the last one trusts nobody. */
import { defineApp, defineSubscription, type RetryPolicy } from "factlog";
import { defineAgent, durable, type DurableOptions, usageOf } from "factlog/agent";
import { generateText, type ToolSet } from "ai";
import { plain, sectionsOf } from "./documents.ts";
import {
  AnalysisRejected,
  AnalysisRequested,
  AnalysisValidated,
  FactCheckFailed,
  FactChecked,
  ResearchComplete,
  SectionRead,
  SummaryGenerated,
} from "./events.ts";
import type { Model } from "./model.ts";
import { askFor, quotesIn } from "./quotes.ts";

/** What differs from place to place: how patient the crew is with its model, and how many calls it makes at one time. */
export interface Patience {
  readonly call?: NonNullable<DurableOptions<ToolSet>["call"]>;
  readonly retry?: RetryPolicy;
  readonly concurrency?: number;
}

/** `load` gives the text of a document, undefined where there is none. */
export function researchApp(
  model: Model,
  load: (documentId: string) => string | undefined,
  { call = {}, ...patience }: Patience = {},
) {
  const text = (documentId: string): string => {
    const found = load(documentId);
    if (found === undefined) throw new Error(`${documentId} is not there any more`);
    return found;
  };

  /** A run that starts again need not look for the ends of sentences again. */
  const known = new Map<string, readonly string[]>();
  const sectionsIn = (documentId: string): readonly string[] => {
    const sections = known.get(documentId) ?? sectionsOf(text(documentId));
    known.set(documentId, sections);
    return sections;
  };

  const validate = defineSubscription(
    "validate",
    { on: AnalysisRequested, from: "beginning", emits: [AnalysisValidated, AnalysisRejected] },
    ({ data }, ctx) => {
      const { documentId, question } = data;
      const length = plain(load(documentId) ?? "").length;
      if (question.trim().length < 3) ctx.emit(AnalysisRejected({ documentId, reason: "the question is too short" }));
      else if (length === 0)
        ctx.emit(AnalysisRejected({ documentId, reason: "there is no such document, or no text" }));
      else ctx.emit(AnalysisValidated({ documentId, question }));
    },
  );

  const researcher = defineAgent(
    "researcher",
    {
      on: AnalysisValidated,
      from: "beginning",
      emits: [SectionRead, ResearchComplete],
      model,
      instructions: "You read one section of a document and quote what matters for the question.",
      budget: { steps: 100, tokens: 500_000 },
      timeout: "1h",
      call,
      ...patience,
    },
    async ({ data }, agent) => {
      const { documentId, question } = data;
      const sections = sectionsIn(documentId);
      const quotes: string[] = [];
      for (const [n, section] of sections.entries()) {
        const { text: found } = await agent.generate({ prompt: askFor(3, question, section) });
        quotes.push(...quotesIn(found));
        await agent.announce(SectionRead({ documentId, section: n + 1, of: sections.length }), { name: `${n + 1}` });
      }
      agent.emit(ResearchComplete({ documentId, question, quotes, ...costOf(agent.usage()) }));
    },
  );

  // The same without an agent: a plain handler, and plain calls of the SDK.
  const summariser = defineSubscription(
    "summariser",
    { on: ResearchComplete, emits: [SummaryGenerated], from: "beginning", order: "none", timeout: "1h", ...patience },
    async ({ data }, ctx) => {
      const { documentId, question } = data;
      const parts = durable(ctx, { model, call, budget: { steps: 20 } });
      const material = data.quotes.map((quote) => `> ${quote}`).join("\n");
      const { text: summary } = await generateText({
        ...parts,
        prompt: askFor(5, question, material),
        abortSignal: ctx.signal,
      });
      ctx.emit(SummaryGenerated({ documentId, text: summary, ...costOf(await usageOf(ctx)) }));
    },
  );

  const factChecker = defineSubscription(
    "fact-checker",
    { on: SummaryGenerated, from: "beginning", emits: [FactChecked, FactCheckFailed] },
    ({ data }, ctx) => {
      const { documentId } = data;
      const source = plain(text(documentId));
      const quotes = quotesIn(data.text);
      const missing = quotes.filter((quote) => !source.includes(plain(quote)));
      if (quotes.length === 0) ctx.emit(FactCheckFailed({ documentId, missing, reason: "nothing is quoted" }));
      else if (missing.length === 0) ctx.emit(FactChecked({ documentId, quotes: quotes.length }));
      else ctx.emit(FactCheckFailed({ documentId, missing, reason: "the document does not say so" }));
    },
  );

  return defineApp({ name: "research", subscriptions: [validate, researcher, summariser, factChecker] });

  function costOf({ calls, usd }: { readonly calls: number; readonly usd: number | "unknown" }) {
    return { model: model.modelId, modelCalls: calls, usd: usd === "unknown" ? null : usd };
  }
}
