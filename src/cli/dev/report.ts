import type { DeliveryMessage, WorkerMessage } from "../../observe/channels.ts";
import type { SubscriptionStatus } from "../../runtime/measures.ts";
import type { ShownError } from "../failure.ts";

/** What the worker process of `dev` is told, as its only argument. */
export interface DevWorkerOptions {
  readonly file: string;
  readonly url: string;
  readonly only?: readonly string[];
  readonly except?: readonly string[];
  /** The port to serve HTTP on. */
  readonly http?: number;
}

export interface DevSubscription extends SubscriptionStatus {
  readonly types: readonly string[];
}

/** What it tells. The one process that prints is its parent. */
export type Report =
  /** Files of the user that were loaded: watched from now on. */
  | { readonly kind: "loaded"; readonly files: readonly string[] }
  /** All files are loaded, and it works. */
  | { readonly kind: "ready"; readonly subscriptions: readonly DevSubscription[] }
  | { readonly kind: "deliveries"; readonly deliveries: readonly DeliveryMessage[]; readonly unshown: number }
  | { readonly kind: "worker"; readonly message: WorkerMessage }
  | { readonly kind: "log"; readonly level: string; readonly message: string; readonly fields: object | undefined }
  /** It cannot start, or had to stop. `again`: the app did load, so that something beside it may change the outcome. */
  | { readonly kind: "failed"; readonly error: ShownError; readonly again: boolean };

/** What its parent says: finish what runs, then leave. */
export const stopMessage = "stop";
