/** Agents: models and tools of the Vercel AI SDK as steps of a delivery. */
export { durable, type DurableOptions, type DurableParts, usageOf } from "./durable.ts";
export type { Budget } from "./budget.ts";
export type { Rejected, ToolPolicy, ToolRule } from "./tools.ts";
export type { Price, Prices, Usage } from "./usage.ts";
export { type AgentContext, type AgentOptions, type AgentRequest, type AgentResult, defineAgent } from "./agent.ts";
