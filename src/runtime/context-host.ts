import { announceWith } from "./announce.ts";
import type { ContextHost } from "./context.ts";
import type { Runner } from "./runner.ts";
import { AttemptStepHost } from "./step-host.ts";

/** What the contexts of a subscription's handlers need of it. */
export function contextHostOf(runner: Runner): ContextHost {
  const { env, logger, source, deltas } = runner.world;
  return {
    deltas,
    spec: runner.spec,
    source,
    logger,
    now: () => env.now(),
    uuid: () => env.uuid(),
    steps: (delivery, context) => new AttemptStepHost(runner, delivery, context),
    announce: (delivery, event) => announceWith(runner, delivery, event),
  };
}
