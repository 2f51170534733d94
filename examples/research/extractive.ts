/**
 * A stand-in for a language model: it understands nothing, and copies the sentences whose words are the most frequent in
 * the text. Behind the interface of the AI SDK, so that the app does not know the difference; its name tells it.
 */
import type { LanguageModel } from "ai";
import { plain, sentencesOf } from "./documents.ts";
import { askedFor, quoted, quotesIn } from "./quotes.ts";

type Model = Extract<Exclude<LanguageModel, string>, { readonly specificationVersion: "v4" }>;
type Prompt = Parameters<Model["doGenerate"]>[0]["prompt"];
type Result = Awaited<ReturnType<Model["doGenerate"]>>;

export const extractiveName = "extractive, not an LLM";

const wordsOf = (text: string): string[] => text.toLowerCase().match(/\p{L}{4,}/gu) ?? [];
/** Words that every text is full of. */
const common = new Set(
  wordsOf(
    "about after also been before being could does from have having into more most must only other over shall should some such than that their them then there these they this those upon very were what when where which while will with would your",
  ),
);

/** At most `count` sentences of a text, in its order: those with the most frequent words, neither short nor endless. */
export function extract(material: string, count: number): string[] {
  const given = quotesIn(material);
  const sentences = given.length > 0 ? given : sentencesOf(material);
  const frequency = new Map<string, number>();
  for (const word of wordsOf(material)) {
    if (!common.has(word)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  const scored = sentences.map((sentence, place) => {
    const words = new Set(wordsOf(sentence));
    const sum = [...words].reduce((total, word) => total + (frequency.get(word) ?? 0), 0);
    const isUsual = sentence.length >= 40 && sentence.length <= 400;
    return { sentence: plain(sentence), place, score: isUsual ? sum / Math.sqrt(words.size + 1) : -1 };
  });
  const best = scored.toSorted((a, b) => b.score - a.score || a.place - b.place).slice(0, count);
  return best.toSorted((a, b) => a.place - b.place).map(({ sentence }) => sentence);
}

/** What a model would answer to this prompt. */
export function answerTo(prompt: string): string {
  const { count, material } = askedFor(prompt);
  return quoted(extract(material, count));
}

function textOf(prompt: Prompt): string {
  const last = prompt.findLast(({ role }) => role === "user");
  if (last === undefined || typeof last.content === "string") return "";
  return last.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}
/** Words stand for tokens: nothing is paid for them. */
function answer(prompt: Prompt): Result {
  const asked = textOf(prompt);
  const text = answerTo(asked);
  const [input, output] = [asked.split(" ").length, text.split(" ").length];
  return {
    content: [{ type: "text", text }],
    finishReason: { unified: "stop", raw: undefined },
    usage: {
      inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: output, text: output, reasoning: 0 },
    },
    warnings: [],
  };
}

export const extractive: Model = {
  specificationVersion: "v4",
  provider: "stand-in",
  modelId: extractiveName,
  supportedUrls: {},
  doGenerate: async ({ prompt }) => answer(prompt),
  doStream: async ({ prompt }) => {
    const { content, ...finish } = answer(prompt);
    const [text] = content;
    return {
      stream: ReadableStream.from([
        { type: "stream-start", warnings: [] },
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: text?.type === "text" ? text.text : "" },
        { type: "text-end", id: "0" },
        { type: "finish", finishReason: finish.finishReason, usage: finish.usage },
      ] as const),
    };
  },
};
