import type { Receipt } from "../app/context.ts";
import { FactlogError } from "../errors.ts";
import { formatPosition } from "../event/position.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { correlationIdOf } from "./correlation.ts";
import type { Runner } from "./runner.ts";
import type { Delivery } from "./slot-work.ts";

/** Appends a progress fact under the fence of a running delivery. Rejects with LEASE_LOST where the fence is gone. */
export function announceWith(runner: Runner, delivery: Delivery, event: EncodedEvent): Promise<Receipt> {
  const { lease } = delivery.slot;
  const fence =
    delivery.row === undefined
      ? { lease }
      : {
          delivery: { sub: lease.sub, gen: lease.gen, slot: lease.slot, position: delivery.event.position },
          rowToken: delivery.row.token,
        };
  return new Promise((resolve, reject) => {
    runner.world.settler.submit({ kind: "announce", fence, event }, (result) => {
      if (result.status === "refused") return reject(result.refused?.error as Error);
      if (result.status !== "ok") {
        reject(
          new FactlogError(
            "LEASE_LOST",
            `${runner.spec.name} no longer holds this delivery: ${event.type} was not announced.`,
          ),
        );
        return;
      }
      const { appended, diverged } = result.announced ?? { appended: undefined, diverged: false };
      if (diverged)
        runner.world.logger.warn(
          `${runner.spec.name}: another ${event.type} stands under this name; the first one stays`,
          { id: event.id },
        );
      const receipt = {
        id: event.id,
        correlationId: correlationIdOf(event),
        duplicate: diverged || appended?.duplicate === true,
      };
      resolve(
        appended === undefined
          ? receipt
          : { ...receipt, position: formatPosition(runner.world.log.epoch, appended.slot, appended.position) },
      );
    });
  });
}
