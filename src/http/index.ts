export type { Access } from "./access.ts";
export { httpApi, type HttpApi, type HttpOptions } from "./api.ts";
export type { Accepted } from "./publish.ts";
export type { Problem } from "./problem.ts";
export type { Authorize } from "./caller.ts";
export { type IncomingWebhook, standardWebhook, type StandardWebhookOptions, type WebhookMessage } from "./incoming.ts";
