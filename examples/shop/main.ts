/** The example shop alone; `npm start` plays it together with the research crew. */
import { command } from "../command.ts";
import { flagsOf, play } from "./play.ts";
import { textOf } from "./report.ts";

const help = `The shop of the README, fed with 69,659 real purchases.

main.ts                   places all orders, then a new one every second, until Ctrl-C
main.ts --once            places all orders and ends with a summary that checks itself
main.ts --drill           the 2 AM story: a warehouse that is down, killed processes, poison orders, a late reader

  --sample                6,919 purchases instead of 69,659
  --input FILE            other purchases, in a form of examples/shop/data/README.md
  --engine postgres://... on that PostgreSQL database, in schemas of its own, instead of an SQLite file
  --processes             a process for each part of the shop, instead of one for all
  --keep                  keep the log, and what the processes wrote, after the end
  --json                  the summary as one JSON object on the last line; the rest goes to stderr`;

await command({ help, flags: flagsOf, play: (flags) => play(flags), text: textOf });
