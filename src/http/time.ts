import { FactlogError } from "../errors.ts";
import { shown } from "./body.ts";

const form =
  /^(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/u;

/** A time as RFC 3339 writes it; to the millisecond. Days that are in no calendar are refused, not moved. */
export function timeOf(name: string, text: string, code: "INVALID_OPTION" | "INVALID_ATTRIBUTE"): Date {
  const match = text.length <= 40 ? form.exec(text) : null;
  if (match !== null) {
    const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
    const time = new Date(text.toUpperCase());
    const last = new Date(Date.UTC(year % 400 === 0 ? 2000 : 2000 + (year % 400), month, 0)).getUTCDate();
    if (!Number.isNaN(time.getTime()) && day >= 1 && day <= last) return time;
  }
  throw new FactlogError(code, `${name} ${shown(text)} is no time: give it as in 2026-11-23T06:15:00Z.`, {
    details: { attribute: name },
  });
}
