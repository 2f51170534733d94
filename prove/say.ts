/** In a child: says something to whoever started it. */
export const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

/** Handlers that fail on purpose are no news. */
export const errorsOnly = {
  debug: (): void => {},
  info: (): void => {},
  warn: (): void => {},
  error: (message: string, fields?: object): void =>
    void process.stderr.write(`${JSON.stringify({ message, ...fields })}\n`),
};
