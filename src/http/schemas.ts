import { errorCodes } from "../errors.ts";

const text = { type: "string" } as const;
const count = { type: "integer", minimum: 0 } as const;
const time = { type: "string", format: "date-time" } as const;
const listOf = (items: object): object => ({ type: "array", items });
const reference = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const object = (
  properties: Readonly<Record<string, object>>,
  required: readonly string[] = Object.keys(properties),
): object => ({
  type: "object",
  required,
  properties,
});
const redriveJob = object(
  {
    id: text,
    state: { enum: ["running", "done", "cancelled"] },
    total: count,
    left: count,
    underway: count,
    ratePerSecond: { type: "number" },
    createdAt: text,
    endedAt: text,
  },
  ["id", "state", "total", "left", "underway", "createdAt"],
);

/** What goes in and out, by name. */
export const schemas = {
  NewEvent: {
    ...object(
      {
        type: text,
        data: { description: "What the event type's schema accepts; its bytes are stored as given." },
        id: text,
        source: text,
        subject: text,
        time,
        correlationId: text,
        causationId: text,
        traceparent: text,
        tracestate: text,
        extensions: { type: "object", additionalProperties: text },
      },
      ["type", "data"],
    ),
    additionalProperties: false,
  },
  CloudEvent: object(
    { specversion: { const: "1.0" }, id: text, source: text, type: text, subject: text, time, data: {} },
    ["specversion", "id", "source", "type"],
  ),
  Accepted: object(
    { id: text, correlationId: text, duplicate: { type: "boolean" }, position: text, statusUrl: text, streamUrl: text },
    ["id", "correlationId", "duplicate", "statusUrl", "streamUrl"],
  ),
  AcceptedAll: { oneOf: [reference("Accepted"), listOf(reference("Accepted"))] },
  Page: object({ events: listOf(reference("CloudEvent")), next: text, atHead: { type: "boolean" } }),
  Correlation: object({
    correlationId: text,
    status: { enum: ["pending", "settled", "dead"] },
    pending: count,
    dead: listOf(object({ id: text, subscription: text, eventId: text })),
    events: listOf(object({ id: text, source: text, type: text, position: text, recordedTime: time })),
  }),
  Status: object({
    head: count,
    subscriptions: listOf(
      object({
        name: text,
        state: { enum: ["active", "paused", "degraded", "stopped", "replaying", "unknown-to-this-app"] },
        depth: count,
        lagMs: count,
        pending: count,
        inFlight: count,
        retrying: count,
        waiting: count,
        dead: count,
        blockedKeys: count,
        held: count,
        deferred: count,
        pausedKeys: count,
        pausedGroups: count,
        waitsFor: listOf(
          object({ for: { enum: ["resume", "outage", "concurrency", "rate"] }, key: text, group: text, until: time }, [
            "for",
          ]),
        ),
        workers: count,
        closed: count,
        sampledAt: time,
      }),
    ),
    notStarted: listOf(text),
  }),
  Doctor: object({
    ok: { type: "boolean" },
    findings: listOf(object({ check: text, ok: { type: "boolean" }, message: text })),
  }),
  DeadLetters: object({ deadLetters: listOf(reference("DeadLetter")), more: { type: "boolean" } }),
  DeadLetter: object(
    {
      id: text,
      subscription: text,
      eventId: text,
      key: text,
      correlationId: text,
      class: text,
      fingerprint: text,
      failures: count,
      crashes: count,
      blocksKey: { type: "boolean" },
    },
    ["id", "subscription", "eventId", "correlationId", "class", "fingerprint", "failures", "crashes", "blocksKey"],
  ),
  Redriven: object({ redriven: count, found: count }),
  Reason: { ...object({ reason: text }), additionalProperties: false },
  Discarded: object({ discarded: count, reason: text }),
  NewRedrive: {
    type: "object",
    properties: {
      subscription: text,
      key: text,
      group: text,
      type: text,
      fingerprint: text,
      dryRun: { type: "boolean" },
      confirm: count,
      ratePerSecond: { type: "number" },
    },
    additionalProperties: false,
  },
  Redrive: redriveJob,
  Redrives: object({ redrives: listOf(redriveJob) }),
  StartedRedrive: {
    oneOf: [
      redriveJob,
      object({
        deadLetters: count,
        keys: listOf(
          object({ subscription: text, key: text, deadLetters: count, blocksKey: { type: "boolean" } }, [
            "subscription",
            "deadLetters",
            "blocksKey",
          ]),
        ),
      }),
    ],
  },
  PauseOf: { type: "object", properties: { key: text, group: text }, additionalProperties: false },
  Paused: object({ subscription: text, key: text, group: text, paused: { type: "boolean" } }, [
    "subscription",
    "paused",
  ]),
  Nothing: { type: "object", additionalProperties: false },
  Approvals: object({
    approvals: listOf(
      object(
        {
          id: text,
          subscription: text,
          step: text,
          summary: text,
          details: {},
          assignee: text,
          askedAt: time,
          expiresAt: time,
        },
        ["id", "subscription", "step", "summary", "askedAt"],
      ),
    ),
    more: { type: "boolean" },
  }),
  Answer: {
    ...object({ by: { ...text, description: "Default: the caller." }, comment: text }, []),
    additionalProperties: false,
  },
  Answered: object({ id: text, approved: { type: "boolean" }, by: text }),
  Delayed: object({
    delayed: listOf(
      object({ id: text, source: text, type: text, key: text, correlationId: text, due: time }, [
        "id",
        "source",
        "type",
        "correlationId",
        "due",
      ]),
    ),
    more: { type: "boolean" },
  }),
  Withdraw: {
    ...object({ source: { ...text, description: "Default: the app's name." } }, []),
    additionalProperties: false,
  },
  Withdrawn: object({ id: text, source: text, cancelled: { const: true } }),
  Tokens: object({ tokens: listOf(reference("Token")) }),
  Token: object(
    {
      id: text,
      name: text,
      scopes: listOf(text),
      group: text,
      createdAt: time,
      expiresAt: time,
      lastUsedAt: time,
      token: { ...text, description: "Shown once, where it is made." },
    },
    ["id", "name", "scopes", "createdAt"],
  ),
  NewToken: {
    ...object(
      { name: text, scopes: listOf(text), group: text, expiresIn: { ...text, description: 'Such as "90d".' } },
      ["name", "scopes"],
    ),
    additionalProperties: false,
  },
  Revoke: { ...object({}, []), additionalProperties: false },
  Revoked: object({ id: text, revoked: { const: true } }),
  Taken: object({ id: text, events: listOf(text), duplicate: { type: "boolean" } }),
  Document: { type: "object", description: "This document." },
  Problem: object(
    {
      type: text,
      title: text,
      status: { type: "integer" },
      detail: text,
      code: { ...text, examples: errorCodes.slice(0, 3) },
      retryable: { type: "boolean" },
      details: { type: "object" },
    },
    ["type", "title", "status", "detail", "code", "retryable"],
  ),
} as const satisfies Readonly<Record<string, object>>;

export type SchemaName = keyof typeof schemas;
