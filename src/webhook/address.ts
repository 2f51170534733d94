import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { FactlogError } from "../errors.ts";

/**
 * Addresses that are not of the public internet, or that lead to some that are not (6to4, NAT64). An IPv4 address in IPv6
 * form (::ffff:127.0.0.1) is looked for among the IPv4 ones by BlockList itself.
 */
const closed: readonly (readonly [net: string, bits: number, family: "ipv4" | "ipv6"])[] = [
  ["0.0.0.0", 8, "ipv4"],
  ["10.0.0.0", 8, "ipv4"],
  ["100.64.0.0", 10, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  ["169.254.0.0", 16, "ipv4"],
  ["172.16.0.0", 12, "ipv4"],
  ["192.0.0.0", 24, "ipv4"],
  ["192.0.2.0", 24, "ipv4"],
  ["192.88.99.0", 24, "ipv4"],
  ["192.168.0.0", 16, "ipv4"],
  ["198.18.0.0", 15, "ipv4"],
  ["198.51.100.0", 24, "ipv4"],
  ["203.0.113.0", 24, "ipv4"],
  ["224.0.0.0", 4, "ipv4"],
  ["240.0.0.0", 4, "ipv4"],
  ["::", 96, "ipv6"],
  ["64:ff9b::", 96, "ipv6"],
  ["64:ff9b:1::", 48, "ipv6"],
  ["100::", 64, "ipv6"],
  ["2001::", 23, "ipv6"],
  ["2001:db8::", 32, "ipv6"],
  ["2002::", 16, "ipv6"],
  ["fc00::", 7, "ipv6"],
  ["fe80::", 10, "ipv6"],
  ["fec0::", 10, "ipv6"],
  ["ff00::", 8, "ipv6"],
];
const blocked = new BlockList();
for (const [net, bits, family] of closed) blocked.addSubnet(net, bits, family);

/** Whether an address belongs to the public internet. What is no address does not. */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && !blocked.check(address, family === 4 ? "ipv4" : "ipv6");
}

/** The address that a URL's host is, without brackets; undefined for a name. */
export function addressIn(host: string): string | undefined {
  const bare = host.replace(/^\[|\]$/g, "");
  return isIP(bare) === 0 ? undefined : bare;
}

export function notPublic(host: string): FactlogError {
  return new FactlogError(
    "ADDRESS_PRIVATE",
    `${host} is, or leads to, an address on this machine or in a private network: where that is meant, say \`allowPrivate: true\`.`,
    { details: { host } },
  );
}

/**
 * A look-up that answers public addresses only, and nothing where any of them is not: given to the socket, so that what is
 * checked is what is connected to, whatever the name answers the next time.
 */
export const publicLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    const [first] = addresses ?? [];
    if (error !== null) callback(error, "", 0);
    else if (first === undefined || !addresses.every(({ address }) => isPublic(address)))
      callback(notPublic(host), "", 0);
    else if (options.all === true) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
};
