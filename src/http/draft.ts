import type { EventAttributes } from "../event/define.ts";

/** An event as a caller sends it, before the app's definitions have a say. */
export interface Draft {
  readonly type: string;
  /** The data's JSON text as given. */
  readonly data: string;
  readonly attributes: EventAttributes;
  /** What the caller believes that the event type takes from the data, or is: compared, never taken. */
  readonly claims: { readonly key?: string; readonly group?: string; readonly schema?: string };
}
