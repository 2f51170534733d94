/** TLS is what the address says: a certificate that is not trusted, or another's, ends the matter, and nothing goes in the clear. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pgStore } from "../../../src/engines/postgres/index.ts";
import { FactlogError } from "../../../src/errors.ts";
import { defineApp, defineSubscription, openLog } from "../../../src/index.ts";
import { Order } from "../../runtime/facts.ts";
import { serverUrl } from "../../support/postgres.ts";
import { releases } from "../../support/postgres/binaries.ts";
import { Server } from "../../support/postgres/server.ts";
import { Wire } from "../../support/postgres/wire.ts";

const skip =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl, which makes the certificate, is not here";

test(
  "verify-full: every connection is encrypted; a wrong name, a foreign authority and a server without TLS are refused",
  { skip },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "factlog-tls-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const [cert, key] = [join(folder, "cert"), join(folder, "key")];
    const of =
      "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost";
    execFileSync("openssl", ["req", ...of.split(" "), "-keyout", key, "-out", cert], { stdio: "ignore" });
    const tls = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
    const server = await Server.start(releases[0]!, { tls });
    t.after(() => server.stop());
    const wire = await Wire.to(server.url);
    t.after(() => wire.close());
    const address = (host: string, parameters: string): string =>
      `${wire.through(server.url).replace("127.0.0.1", host)}?${parameters}&schema=over_the_wire`;

    const log = await openLog(address("localhost", `sslmode=verify-full&sslrootcert=${cert}`));
    const encrypted: boolean[] = [];
    const reader = defineSubscription(
      "reader",
      { on: Order, from: "beginning", store: pgStore() },
      async (_, { tx }) => {
        const { rows } = await tx.query(
          "SELECT bool_and(ssl) AS every FROM pg_stat_ssl JOIN pg_stat_activity a USING (pid) WHERE a.application_name LIKE 'factlog%'",
        );
        encrypted.push((rows[0] as { every: boolean }).every);
      },
    );
    await log.publish(Order({ key: "a canary", n: 1 }));
    await log.drain(defineApp({ name: "t", subscriptions: [reader] }));
    await log.close();
    assert.deepEqual(encrypted, [true]);

    const refusal = async (url: string): Promise<FactlogError> => {
      try {
        await (await openLog(url)).close();
      } catch (error) {
        return error as FactlogError;
      }
      assert.fail("it opened");
    };
    const cases: readonly (readonly [address: string, said: RegExp])[] = [
      [
        address("127.0.0.1", `sslmode=verify-full&sslrootcert=${cert}`),
        /does not match certificate.*name the server as its certificate/u,
      ],
      [address("localhost", "sslmode=verify-full"), /certificate.*sslrootcert/u],
      [
        `${await serverUrl(releases[0]!.name)}?sslmode=verify-full&sslrootcert=${cert}`,
        /does not support SSL.*in the clear/u,
      ],
      [`${await serverUrl(releases[0]!.name)}?sslmode=require`, /does not support SSL.*in the clear/u],
    ];
    for (const [url, said] of cases) {
      const error = await refusal(url);
      assert.ok(error instanceof FactlogError, String(error));
      assert.equal(error.code, "STORE_UNREACHABLE");
      assert.match(error.message, said);
    }
    for (const word of ["a canary", "over_the_wire"]) assert.equal(wire.sent.includes(word), false, word);
    // In the clear the server speaks with nobody: the address alone decides.
    assert.equal((await refusal(address("localhost", "sslmode=disable"))).code, "ACCESS_DENIED");
  },
);
