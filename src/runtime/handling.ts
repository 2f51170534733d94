import { AsyncLocalStorage } from "node:async_hooks";
import type { RecordedEvent } from "../event/define.ts";

/** The fact that is being handled: what a handler publishes inherits its correlation. */
export const handling: AsyncLocalStorage<RecordedEvent> = new AsyncLocalStorage();
