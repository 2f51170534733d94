export { type App, type AppOptions, defineApp } from "./app/app.ts";
export type { AlertRule, AlertTarget } from "./app/alerts.ts";
export type {
  BatchVerbs,
  ContextOn,
  EmitOptions,
  HandlerContext,
  Logger,
  Receipt,
  StateContext,
  SyncHandlerContext,
  TransactionContext,
} from "./app/context.ts";
export { defineSchedule, type Missed, type Schedule, type ScheduleOptions } from "./app/schedule.ts";
export type { Approval, ApprovalRequest, Jsonified, StepContext, StepOptions, WaitForOptions } from "./app/steps.ts";
export {
  defineProjection,
  type Projection,
  type ProjectionContext,
  type ProjectionOptions,
  type Tables,
} from "./app/projection.ts";
export { sql, type Statement } from "./app/sql.ts";
export type { Limits, Rate } from "./app/limited.ts";
export type { HandlerResult, Store, TxOf } from "./app/store.ts";
export {
  type Awaitable,
  type BatchOptions,
  defineBatchSubscription,
  defineSubscription,
  type From,
  type StateOptions,
  type Subscription,
  type SubscriptionOptions,
} from "./app/subscription.ts";
export { Defer, NonRetryable, RetryAfter, Unavailable } from "./app/verdicts.ts";
export type { RetryPolicy } from "./delivery/retry-policy.ts";
export type { Duration } from "./duration.ts";
export { FactlogError, type FactlogErrorCode } from "./errors.ts";
export { type CloudEvent, toCloudEvent, toCloudEventJson } from "./event/cloudevents.ts";
export {
  type AnyEventType,
  defineEvent,
  type EventAttributes,
  type EventOf,
  type EventOptions,
  type EventType,
  type NewEvent,
  type NewEventOf,
  newEventFromJson,
  type RecordedEvent,
} from "./event/define.ts";
export type { Json } from "./event/json.ts";
export type { Position } from "./event/position.ts";
export { type Upcast, upcast } from "./event/upcast.ts";
export type { Engine, EngineHandle, Finding } from "./engine/engine.ts";
export type { Correlation } from "./runtime/correlation-status.ts";
export { deadLetterJson, deadLetterSummary } from "./runtime/dead-letter-json.ts";
export type { FollowOptions, Frame } from "./runtime/follow.ts";
export { type Log, openLog, type OpenOptions, type PublishOptions } from "./runtime/log.ts";
export type { Answer, OpenApproval } from "./runtime/approvals.ts";
export type { Webhook } from "./webhook/target.ts";
export type { SubscriptionStatus } from "./runtime/measures.ts";
export type { PauseOf } from "./runtime/pauses.ts";
export type { WaitsFor } from "./runtime/waits-for.ts";
export type { DeadLetter, DeadLetterFilter, DelayedFact, Operator } from "./runtime/operator.ts";
export type { RedriveEffect, RedriveJob, RedriveJobOptions, RedrivePlan, Redrives } from "./runtime/redrives.ts";
export type { Page, PageOptions } from "./runtime/page.ts";
export type { ProjectionStatus } from "./runtime/rebuild.ts";
export type { ReadOptions } from "./runtime/read.ts";
export { run, type RunOptions } from "./runtime/run.ts";
export { currentStep } from "./runtime/steps.ts";
export type { RedriveFrom } from "./runtime/redrive-from.ts";
export type { AccessToken, FreshAccessToken } from "./runtime/access-token.ts";
export { tokenScopes } from "./runtime/access-token.ts";
export type { RotateOptions, TokenOptions, Tokens } from "./runtime/tokens.ts";
export type { Trace, TraceDelivery, TraceNode } from "./runtime/trace.ts";
export type { StepUsage, TraceStep } from "./runtime/trace-steps.ts";
export type { LogAddress } from "./runtime/url.ts";
export type { DrainSummary, Worker, WorkOptions } from "./runtime/worker.ts";
