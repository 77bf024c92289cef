import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import { TEST_NOW } from "../../api/rest/api-test-site.ts";
import { makeTestReport } from "../../hardware/make-test-report.ts";
import type { CliProcess } from "../cli-context.ts";
import { type CliSite, openCliSite } from "../cli-test-site.ts";

let cli: CliSite;
let directory: string;

beforeEach(async () => {
  cli = await openCliSite();
  directory = await mkdtemp(join(tmpdir(), "muster-exchange-"));
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const muster = async (line: string, more: Partial<CliProcess> = {}): Promise<string> =>
  (await cli.type(line.replaceAll("DIR", directory), more)).replaceAll(directory, "DIR");
/** A session is still true when it is what comes back; DIR stands for the directory of the files. */
const replayed = async (session: string): Promise<string> =>
  (await cli.replay(session.replaceAll("DIR", directory))).replaceAll(directory, "DIR");
const write = async (name: string, text: string | Buffer): Promise<void> =>
  writeFile(join(directory, name), text);

const HOSTS = `127.0.0.1 localhost
10.77.0.11 c001.hpc.example c001
10.77.0.12 c002.hpc.example c002
10.78.0.11 c001-ib
10.79.0.11 c001-bmc
`;
const DHCPD = `next-server 10.77.0.1;
group {
  host c001 { hardware ethernet 52:54:00:00:00:01; fixed-address 10.77.0.11; }
  host c002 { hardware ethernet 52:54:00:00:00:02; fixed-address 10.77.0.12; }
}
`;
const CSV = `Hostname;Rack;BMC IP;Bought\nc001;r1;10.79.0.11;2024\nc002;"r1";10.79.0.12;2024\n`;

const FILES = `$ muster import hosts DIR/hosts
2> muster: which lines of the file are nodes was not said
2>   fix: name them with --match c[001-064], or their network with --network 10.77.0.0/16
[2]
$ muster import hosts DIR/hosts --match c[001-064] --suffix=-ib=ib0 --suffix=-bmc=bmc --yes -m 'from /etc/hosts'
2> DIR/hosts:1:1: localhost: 127.0.0.1 is not taken: none of its names is in --match
2> DIR/hosts:2:12: hpc.example: the domain is not taken, here and below: nodes have one-word names; network.domain in muster.yaml is the domain of all
2> 2 things in DIR/hosts not taken over, as said above
c001: added
  devices.eno1.address  10.77.0.11
  devices.ib0.address   10.78.0.11
  bmc.address           10.79.0.11
c002: added
  devices.eno1.address  10.77.0.12

at once: DHCP answers otherwise for c[001-002]
2> change 1: 2 nodes c[001-002]; to take it back: muster undo 1
[0]
$ muster import dhcpd DIR/dhcpd.conf --yes
2> DIR/dhcpd.conf:1:1: next-server 10.77.0.1: is not taken: muster itself tells nodes what to boot
2> 1 thing in DIR/dhcpd.conf not taken over, as said above
c001: devices.eno1.mac (none) -> 52:54:00:00:00:01   (reboot)
c002: devices.eno1.mac (none) -> 52:54:00:00:00:02   (reboot)

at once: DHCP answers otherwise for c[001-002]
at the next boot: c[001-002]; where they are up: muster reboot c[001-002]
2> change 2: 2 nodes c[001-002]; to take it back: muster undo 2
[0]
$ muster import dhcpd DIR/dhcpd.conf --yes
2> DIR/dhcpd.conf:1:1: next-server 10.77.0.1: is not taken: muster itself tells nodes what to boot
2> 1 thing in DIR/dhcpd.conf not taken over, as said above
2> nothing to change
[0]
$ muster import genders DIR/genders --profiles compute --yes
2> DIR/genders:1:12: compute: there is no such profile; muster profile add compute, or pass --add-profiles
2> 1 thing to put right in DIR/genders; nothing was changed
[2]
$ muster import genders DIR/genders --profiles compute --add-profiles --dry-run
profile compute: would be added
  reaches 2 nodes: c[001-002]
c[001-002]:
  profiles   (none) -> [compute]
  tags.rack  (none) -> r7
2> the controller would take this change of 2 nodes c[001-002] and profile compute; nothing was changed
[0]
$ muster import genders DIR/genders --profiles compute --add-profiles --yes
profile compute: added
  reaches 2 nodes: c[001-002]
c[001-002]:
  profiles   (none) -> [compute]
  tags.rack  (none) -> r7
2> change 3: 2 nodes c[001-002] and profile compute; to take it back: muster undo 3
[0]
$ muster import csv DIR/nodes.csv --map tags.bought=Bought --yes
2> columns: Bought is tags.bought, Hostname is name, Rack is tags.rack, BMC IP is bmc.address
c001:
  tags.bought  (none) -> 2024
  tags.rack    r7 -> r1
c002:
  bmc.address  (none) -> 10.79.0.12
  tags.bought  (none) -> 2024
  tags.rack    r7 -> r1
2> change 4: 2 nodes c[001-002]; to take it back: muster undo 4
[0]
$ muster import csv DIR/nodes.csv --keep
2> columns: Hostname is name, Rack is tags.rack, BMC IP is bmc.address
2> DIR/nodes.csv:1:22: Bought: this column is not taken; --map tags.KEY="Bought" keeps it as a tag
2> 1 thing in DIR/nodes.csv not taken over, as said above
2> nothing to change
[0]
$ muster export hosts --domain hpc.example
10.77.0.11 c001.hpc.example c001 c001-eno1
10.78.0.11 c001-ib0
10.79.0.11 c001-bmc
10.77.0.12 c002.hpc.example c002 c002-eno1
10.79.0.12 c002-bmc
[0]
$ muster export ethers
52:54:00:00:00:01 c001
52:54:00:00:00:02 c002
[0]
$ muster export genders
c[001-002] compute,bought=2024,rack=r1
[0]
$ muster export clustershell --nodes c001
muster:
  all: "c001"
profile:
  "compute": "c001"
tag:
  "bought": "c001"
  "bought=2024": "c001"
  "rack": "c001"
  "rack=r1": "c001"
state:
  "new": "c001"
[0]
$ muster export genders --at 'change 1'
2> muster: unknown option '--at <time>' of export genders
[2]
`;

const LISTS = `$ muster node list --up -o clustershell
c[001,003]
[0]
$ muster node list --up -o mpi
c001 slots=32
c003
2> c003: hardware is not known yet, so mpirun counts slots
[0]
$ muster node list -o mpi --mpi mpich c[001-002]
c001:32
c002
2> c002: hardware is not known yet, so mpirun counts slots
[0]
$ muster node list --up -o hosts
10.77.0.11 c001 c001-eno1
10.77.0.99 c003 c003-eno1
[0]
$ muster node list --up --state failed
2> muster: no node is up and failed
2>   fix: give --up or --state
[2]
$ muster node list c002 --up -o mpi
2> no node of c002 is ready
[0]
$ muster hardware list -o mpi
2> muster: -o mpi is for \`muster node list\`
2>   fix: here there are table, json and yaml
[2]
$ muster export slurm --partition gpu
2> muster: --partition gpu: no node whose hardware is known has such a profile
2>   fix: \`muster profile list\` shows all profiles
[4]
$ muster export ansible --host c003
{
  "muster_profiles": [],
  "muster_tags": {},
  "muster_devices": {
    "eno1": {
      "type": "ethernet",
      "mac": "52:54:00:00:00:03"
    }
  },
  "muster_state": "ready"
}
[0]
$ muster export ansible --host c009
2> muster: there is no node "c009"
2>   fix: did you mean c001 or c002 or c003?
[4]
`;

describe("a site that comes with files of its own", () => {
  it("reads like this", async () => {
    await write("hosts", HOSTS);
    await write("dhcpd.conf", DHCPD);
    await write("genders", "c[001-002] compute,rack=r7\n");
    await write("nodes.csv", CSV);
    expect(await replayed(FILES)).toBe(FILES);
  });

  it("may have them come from another program", async () => {
    const input = Readable.from([Buffer.from("c001 rack="), Buffer.from("r7\n")]);
    expect(await muster("import genders - --yes", { input })).toBe(`$ muster import genders - --yes
c001: added
  tags.rack  r7
2> change 1: 1 node c001; to take it back: muster undo 1
[0]
`);
  });

  it("is told of everything that is wrong before anything is changed", async () => {
    await muster("node add c001 --mac 52:54:00:00:00:01 --yes");
    await write("nodes.csv", "name,mac,image\nc002,52:54:00:00:00:01,\nc003,52:54,debian13\nc_4,,\n");
    const session = `$ muster import csv DIR/nodes.csv --yes
2> columns: name is name, mac is devices.*.mac, image is image
2> DIR/nodes.csv:3:6: c003 mac: "52:54" is not the MAC address of an interface; write six bytes in hex: 52:54:00:12:34:56
2> DIR/nodes.csv:3:12: debian13: there is no such image; import it: muster image import DIRECTORY --name debian13
2> DIR/nodes.csv:4:1: c_4: "c_4" is not a node name
2> 3 things to put right in DIR/nodes.csv; nothing was changed
[2]
`;
    expect(await replayed(session)).toBe(session);
    await write("nodes.csv", "name,mac\nc002,52:54:00:00:00:01\n");
    const clash = `$ muster import csv DIR/nodes.csv --yes
2> columns: name is name, mac is devices.*.mac
2> DIR/nodes.csv:2:6: c002 devices.eno1.mac: 52:54:00:00:00:01 is that of c001 eno1; each belongs to one device only
2> 1 thing to put right in DIR/nodes.csv; nothing was changed
[2]
`;
    expect(await replayed(clash)).toBe(clash);
  });

  it("cannot give what is no text, too much of it, or nothing", async () => {
    await write("latin1", Buffer.from("c001 note=f\xfcr\n", "latin1"));
    await write("large", Buffer.alloc(16 * 1024 * 1024 + 1, "#"));
    await write("empty", "# nobody\n");
    const session = `$ muster import genders DIR/latin1
2> muster: DIR/latin1: it is not UTF-8: The encoded data was not valid for encoding utf-8
2>   fix: convert it: iconv -f LATIN1 -t UTF-8
[3]
$ muster import genders DIR/large
2> muster: DIR/large: it has more than 16 MiB
2>   fix: split it
[3]
$ muster import genders DIR/missing
2> muster: DIR/missing: cannot be read: ENOENT: no such file or directory, open 'DIR/missing'
2>   fix: give a file that you may read, or - for standard input
[3]
$ muster import genders DIR/empty
2> DIR/empty says nothing of nodes that could be taken over; nothing was changed
[1]
$ muster import hosts DIR/empty --network 10.77.0.0
2> muster: --network 10.77.0.0 is no network
2>   fix: write ADDRESS/PREFIX: --network 10.77.0.0/16
[2]
$ muster import dhcpd DIR/empty --suffix ib
2> muster: --suffix ib names no device
2>   fix: write SUFFIX=DEVICE: --suffix=-ib=ib0; the device bmc is the BMC
[2]
$ muster import dhcpd DIR/empty --device a/b
2> muster: --device a/b cannot be the name of a device
2>   fix: for example --device eno1
[2]
$ muster export hosts --domain -x
2> muster: --domain -x is no domain
2>   fix: for example --domain cluster.example
[2]
`;
    expect(await replayed(session)).toBe(session);
  });
});

describe("lists for other programs", () => {
  beforeEach(async () => {
    await muster("node add c[001-003] --mac 52:54:00:00:00:01,52:54:00:00:00:02,52:54:00:00:00:03 --yes");
    await muster("node set c[001-002] --address 10.77.0.11 --yes");
    for (const node of ["c001", "c003"].map(parseNodeName)) {
      cli.site.statuses.set(node, { node, state: "ready", address: "10.77.0.99" });
    }
    const report = makeTestReport();
    await cli.site.deps.inventory.recordHardware([
      {
        ...{ node: parseNodeName("c001"), bootId: "boot-1", digest: digestOfHex("ab".repeat(32)), report },
        reportedAt: TEST_NOW,
      },
    ]);
  });

  it("have the nodes that are up, and what is known of them", async () => {
    expect(await replayed(LISTS)).toBe(LISTS);
  });

  it("for Slurm have the nodes whose hardware is known, and say which are missing", async () => {
    expect(
      await muster("export slurm --nodes c[001-002] --round-memory 1024"),
    ).toBe(`$ muster export slurm --nodes c[001-002] --round-memory 1024
# slurm.conf
# missing here: PartitionName lines; NodeAddr, where Slurm cannot resolve a node's name; Weight, Feature
NodeName=c001 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515072
2> no report yet of c002: never booted
[1]
`);
  });
});
