import type { Bug } from "./bug.ts";
import { lifeBugs } from "./bugs/lives.ts";
import { logBugs } from "./bugs/log.ts";
import { rowBugs } from "./bugs/rows.ts";
import { settleBugs } from "./bugs/settle.ts";

/** All that the drill plants. */
export const bugs: readonly Bug[] = [...logBugs, ...settleBugs, ...rowBugs, ...lifeBugs];
