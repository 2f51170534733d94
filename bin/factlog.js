#!/usr/bin/env node
/* Old syntax on purpose: an older Node must still be able to parse this file and say what is needed. */
import fs from "fs";

var needed = [24, 16];
var have = process.versions.node.split(".").map(Number);
var tooOld = have[0] < needed[0] || (have[0] === needed[0] && have[1] < needed[1]);
var main = new URL("../dist/cli/main.js", import.meta.url);

if (tooOld) {
  console.error("factlog needs Node " + needed.join(".") + " or newer; this is " + process.versions.node + ".");
  process.exitCode = 1;
} else if (!fs.existsSync(main)) {
  console.error("factlog is not built: run `npm run build` first.");
  process.exitCode = 1;
} else {
  import(main.href)
    .then(function (cli) {
      return cli.main(process.argv.slice(2));
    })
    .then(
      function (exitCode) {
        process.exitCode = exitCode;
      },
      function (error) {
        console.error(error);
        process.exitCode = 1;
      },
    );
}
