import type { Parameter, Route } from "./call.ts";
import { schemas } from "./schemas.ts";

const reference = (name: string): object => ({ $ref: `#/components/schemas/${name}` });

/** The OpenAPI 3.1 document of these routes. */
export function openapiOf(routes: readonly Route[], base: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  return {
    openapi: "3.1.0",
    info: {
      title: "Factlog",
      version: "1",
      description: "A durable event log: publish, read, follow, operate. See docs/guides/http.md.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: base }],
    paths,
    components: {
      schemas,
      responses: {
        Problem: {
          description: "Refused: `code` is one of docs/reference/errors.md, `detail` says what to do.",
          content: { "application/problem+json": { schema: reference("Problem") } },
        },
      },
    },
  };
}

function operationOf({ operationId, summary, scope, parameters, body, answer }: Route): object {
  return {
    operationId,
    summary,
    description: scope === "signature" ? "No scope: the body is signed." : `Scope: \`${scope}\`.`,
    parameters: parameters.map(parameterOf),
    ...(body === undefined ? {} : { requestBody: bodyOf(body) }),
    responses: {
      [answer === "AcceptedAll" || answer === "Taken" ? "202" : "200"]: answerOf(answer),
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

function answerOf(answer: Route["answer"]): object {
  const text = (description: string, type: string): object => ({
    description,
    content: { [type]: { schema: { type: "string" } } },
  });
  if (answer === "stream") return text("Frames, as server-sent events.", "text/event-stream");
  if (answer === "metrics") return text("The text format of Prometheus 0.0.4.", "text/plain");
  return { description: "Done.", content: { "application/json": { schema: reference(answer) } } };
}

function parameterOf({ name, in: where, description, schema }: Parameter): object {
  return { name, in: where, description, required: where === "path", schema };
}

function bodyOf(body: NonNullable<Route["body"]>): object {
  if (body === "Any")
    return { required: true, description: "As its sender signed it.", content: { "*/*": { schema: {} } } };
  if (body !== "NewEvent")
    return {
      required: body === "Reason" || body === "NewToken",
      content: { "application/json": { schema: reference(body) } },
    };
  const one = (name: string): object => ({ oneOf: [reference(name), { type: "array", items: reference(name) }] });
  return {
    required: true,
    description: "Or a CloudEvent in binary mode: its attributes in `ce-` headers, its data as the body.",
    content: {
      "application/json": { schema: one("NewEvent") },
      "application/cloudevents+json": { schema: reference("CloudEvent") },
      "application/cloudevents-batch+json": { schema: { type: "array", items: reference("CloudEvent") } },
    },
  };
}
