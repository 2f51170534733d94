import type { Broken } from "./sabotage.ts";

export const brokenRegisters: readonly Broken[] = [
  {
    name: "entries are put whoever asks",
    fails: ["enter: whoever saw something else changes nothing", "enter: of two processes that saw the same one wins"],
    break: ({ ledger, store }) => ({
      ledger: {
        enter: (entering) => ledger.enter({ ...entering, seen: store.entries.get(entering.kind)?.get(entering.name) }),
      },
    }),
  },
  {
    name: "an entry moves before its facts are looked at",
    fails: ["enter: a fact that cannot be stated leaves the entry as it was"],
    break: ({ ledger, store }) => ({
      ledger: {
        async enter(entering) {
          try {
            return await ledger.enter(entering);
          } finally {
            const { kind, name, body } = entering;
            if (body !== undefined) store.entries.get(kind)?.set(name, body);
          }
        },
      },
    }),
  },
  {
    name: "entries state no facts",
    fails: ["enter: an entry is put, replaced and removed in the place of what was seen, with its facts"],
    break: ({ ledger }) => ({ ledger: { enter: (entering) => ledger.enter({ ...entering, events: [] }) } }),
  },
  {
    name: "kinds of entries are not told apart",
    fails: ["entries: those of one kind, in the order of their names"],
    break: ({ ledger }) => ({
      ledger: {
        entries: async (kind) => [...(await ledger.entries(kind)), ...(await ledger.entries("other"))],
      },
    }),
  },
];
