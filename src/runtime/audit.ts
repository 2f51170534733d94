import type { Env } from "../env.ts";
import { checksum } from "../event/codec.ts";
import type { EncodedEvent } from "../event/stored-event.ts";

/** The event that records an operator's act: type `factlog.operator.<act>`. */
export function auditEvent(
  env: Env,
  source: string,
  act: string,
  data: Readonly<Record<string, unknown>>,
): EncodedEvent {
  const event = {
    source,
    id: env.uuid(),
    type: `factlog.operator.${act}`,
    key: undefined,
    group: undefined,
    timeMs: env.now(),
    attributes: "",
    data: JSON.stringify(data),
    version: 1,
    schema: "",
    plain: true,
  };
  return { ...event, crc: checksum(event) };
}
