/**
 * Every name that is given to OpenTelemetry, by the semantic conventions for messaging (1.45, in development) where they
 * have one. The system stands under its old name and its new one until the conventions are stable.
 */
export const scope = "factlog";
export const system = "factlog";

export const attribute = {
  system: "messaging.system",
  systemName: "messaging.system.name",
  operationName: "messaging.operation.name",
  operationType: "messaging.operation.type",
  /** The event type: what a topic is elsewhere. */
  destination: "messaging.destination.name",
  subscription: "messaging.destination.subscription.name",
  consumerGroup: "messaging.consumer.group.name",
  messageId: "messaging.message.id",
  conversationId: "messaging.message.conversation_id",
  batchCount: "messaging.batch.message_count",
  errorType: "error.type",
  key: "factlog.event.key",
  position: "factlog.event.position",
  attempt: "factlog.delivery.attempt",
  outcome: "factlog.delivery.outcome",
} as const;

/** By the semantic conventions for generative AI, in development too. */
export const genAi = {
  operationName: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  requestModel: "gen_ai.request.model",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  agentName: "gen_ai.agent.name",
  toolName: "gen_ai.tool.name",
} as const;

export const operation = {
  publish: { [attribute.operationName]: "publish", [attribute.operationType]: "send" },
  process: { [attribute.operationName]: "process", [attribute.operationType]: "process" },
} as const;

export const metric = {
  sent: "messaging.client.sent.messages",
  publishDuration: "messaging.client.operation.duration",
  consumed: "messaging.client.consumed.messages",
  processDuration: "messaging.process.duration",
  depth: "factlog.subscription.depth",
  lag: "factlog.subscription.lag",
  inFlight: "factlog.subscription.in_flight",
  retrying: "factlog.subscription.retrying",
  held: "factlog.subscription.held",
  dead: "factlog.subscription.dead",
  blockedKeys: "factlog.subscription.blocked_keys",
} as const;

/** Buckets of durations, in seconds, as the conventions advise. */
export const durationBoundaries: number[] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
