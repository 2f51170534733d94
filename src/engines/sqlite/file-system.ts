/**
 * File systems on which SQLite's locks and shared memory cannot be trusted, by the magic number of statfs(2); numbers from
 * linux/include/uapi/linux/magic.h and the drivers' own headers.
 */
const networks: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x517b, "SMB"],
  [0x564c, "NCP"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x7461636f, "OCFS2"],
  [0x01161970, "GFS2"],
]);
/** Some of them are networks and some are good local file systems; the number does not say. */
const doubtful: ReadonlyMap<number, string> = new Map([
  [0x65735546, "FUSE"],
  [0x01021997, "9p"],
]);

export interface FileSystemKind {
  readonly verdict: "local" | "network" | "doubtful";
  readonly name: string | undefined;
}

/** What the `type` of `statfs` says; only Linux gives numbers that mean something here. */
export function fileSystemKind(magic: number): FileSystemKind {
  const number = magic >>> 0;
  const network = networks.get(number);
  if (network !== undefined) return { verdict: "network", name: network };
  const name = doubtful.get(number);
  return { verdict: name === undefined ? "local" : "doubtful", name };
}
