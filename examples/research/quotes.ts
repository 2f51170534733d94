/** Answers quote line by line: what is quoted can be looked up by code, whoever wrote the answer. */
export const askFor = (count: number, question: string, material: string): string =>
  `${question}\nAnswer with at most ${count} sentences of the text below, copied word for word. ` +
  `Put each on a line of its own that begins with "> ", and write nothing else.\n\n${material}`;

/** How many sentences were asked for, and the text that they are to be taken from. */
export function askedFor(prompt: string): { readonly count: number; readonly material: string } {
  const [head = "", ...rest] = prompt.split("\n\n");
  return { count: Number(/at most (\d+) sentences/u.exec(head)?.[1] ?? 3), material: rest.join("\n\n") };
}

export const quotesIn = (answer: string): string[] =>
  answer.split("\n").flatMap((line) => {
    const quote = line.startsWith(">") ? line.slice(1).trim() : "";
    return quote === "" ? [] : [quote];
  });
export const quoted = (sentences: readonly string[]): string => sentences.map((sentence) => `> ${sentence}`).join("\n");
