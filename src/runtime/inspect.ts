import { type App, appSpecOf } from "../app/app.ts";
import type { Engine, Finding } from "../engine/engine.ts";

/** Checks of the process, of an app's schemas, and of the store itself. */
export async function inspect(engine: Engine, app: App | undefined): Promise<readonly Finding[]> {
  return [node(), ...(app === undefined ? [] : [schemas(app)]), ...(await engine.inspect())];
}

const node = (): Finding => ({
  check: "node",
  ok: true,
  message: `${process.version} on ${process.platform} ${process.arch}`,
});

/** No fault, but what a read costs: see `fingerprintOf`. */
function schemas(app: App): Finding {
  const events = [...appSpecOf(app).events.values()];
  const always = events.filter((event) => event.fingerprint === "").map((event) => event.type);
  const message =
    always.length === 0
      ? `data of all ${events.length === 1 ? "1 event type" : `${events.length} event types`} of ${app.name} are checked once, when published`
      : `data of ${always.join(", ")} are checked again on every read: the schema tells no JSON Schema, or may change values`;
  return { check: "schemas", ok: true, message };
}
