import assert from "node:assert/strict";
import type { Delta } from "../../engine/deltas.ts";
import { within } from "../build.ts";
import type { Check } from "../check.ts";

const deltaOf = (text: string): Delta => ({
  correlationId: "c",
  subscription: "s",
  eventId: "e",
  key: undefined,
  group: "g",
  text,
});

/** For engines that have the port. */
export const deltaChecks: readonly Check[] = [
  {
    name: "deltas: what one process tells, the others hear, in order, as it was told, and itself not, until they listen no more",
    about: "log",
    needsProcesses: true,
    async run(subject) {
      const [here, there] = [(await subject.open()).deltas, (await subject.open()).deltas];
      if (here === undefined || there === undefined) return;
      const told = ["a", "b\n\u0000 é 😀", "end"].map(deltaOf);
      const [heard, echo]: [Delta[], Delta[]] = [[], []];
      const all = Promise.withResolvers<void>();
      const leave = there.listen((delta) => {
        heard.push(delta);
        if (delta.text === "end") all.resolve();
      });
      here.listen((delta) => echo.push(delta));
      here.tell(told.slice(0, 2));
      here.tell(told.slice(2));
      await within(subject, all.promise, "deltas of another process");
      const shapes = (deltas: readonly Delta[]): readonly unknown[] =>
        deltas.map(({ correlationId, subscription, eventId, group, text }) => [
          correlationId,
          subscription,
          eventId,
          group,
          text,
        ]);
      assert.deepEqual(shapes(heard), shapes(told));
      // What comes back comes behind what was told.
      const answer = Promise.withResolvers<void>();
      here.listen(({ text }) => text === "answer" && answer.resolve());
      leave();
      there.tell([deltaOf("answer")]);
      await within(subject, answer.promise, "an answer");
      assert.deepEqual(
        echo.map(({ text }) => text),
        ["answer"],
      );
      assert.equal(heard.length, told.length);
    },
  },
];
