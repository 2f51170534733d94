export const subscription = "agent";
/** An agent takes longer than a publisher: it runs for every fifth fact. `id`: PUBLISHER-NUMBER. */
export const concerns = (id: string): boolean => Number(id.split("-").at(-1)) % 5 === 0;
