import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type CliSite, openCliSite } from "../cli-test-site.ts";

let cli: CliSite;
let directory: string;

beforeEach(async () => {
  cli = await openCliSite();
  directory = await mkdtemp(join(tmpdir(), "muster-warewulf-"));
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const muster = async (line: string): Promise<string> =>
  (await cli.type(line.replaceAll("DIR", directory))).replaceAll(directory, "DIR");
const write = async (name: string, text: string): Promise<void> => writeFile(join(directory, name), text);

const NODES_CONF = `nodeprofiles:
  default:
    image name: rocky-9
    system overlay: [wwinit, hosts, lustre]
    kernel: {args: [quiet, crashkernel=no]}
    ipmi: {username: admin, password: secret}
    root: initramfs
nodes:
  c001:
    profiles: [default]
    network devices:
      default: {device: eno1, hwaddr: 52:54:00:00:00:01, ipaddr: 10.77.0.11, tags: {DNS1: 10.77.0.1}}
  c002:
    profiles: [default]
    network devices:
      default: {device: eno1, hwaddr: 52:54:00:00:00:02, ipaddr: 10.77.0.12, tags: {DNS1: 10.77.0.1}}
`;

/** Types the lines that begin with "$ muster ": a session that is still true is returned as it is. */
async function replay(session: string): Promise<string> {
  let shown = "";
  for (const [, line = ""] of session.matchAll(/^\$ muster (.*)$/gm)) shown += await muster(line);
  return shown;
}

const IMPORTED = `$ muster import warewulf DIR/nodes.conf --yes -m 'from Warewulf'
2> DIR/nodes.conf is read as a file of Warewulf 4.6
2> carried over in another form:
2> DIR/nodes.conf:7:5: profile default: root: initramfs: became rootMode squashfs: the root is read from the packed image, writes go to memory
2> not carried over:
2> DIR/nodes.conf:3:5: profile default: image name: rocky-9: muster has no image of this name
2>   fix: muster image import DIR --name rocky-9, then import again
2> DIR/nodes.conf:4:22: profile default: system overlay: wwinit: it comes with Warewulf: muster's agent starts the node
2> DIR/nodes.conf:4:30: profile default: system overlay: hosts: it comes with Warewulf: muster writes /etc/hosts
2> DIR/nodes.conf:4:37: profile default: system overlay: lustre: muster has no overlay of this name
2>   fix: copy its rootfs to lustre/rootfs below paths.overlays (what ends in .ww is a template, which muster does not render), then import again
profile default: added
  rootMode         squashfs
  kernelArguments  [quiet, crashkernel=no]
  bmc.user         admin
  bmc.password     (secret)
  reaches 2 nodes: c[001-002]
c001: added
  profiles                   [default]
  rootMode                   squashfs
  kernelArguments            [quiet, crashkernel=no]
  devices.default.interface  eno1
  devices.default.mac        52:54:00:00:00:01
  devices.default.address    10.77.0.11
  devices.default.dns        [10.77.0.1]
  bmc.user                   admin
  bmc.password               (secret)
c002: added
  profiles                   [default]
  rootMode                   squashfs
  kernelArguments            [quiet, crashkernel=no]
  devices.default.interface  eno1
  devices.default.mac        52:54:00:00:00:02
  devices.default.address    10.77.0.12
  devices.default.dns        [10.77.0.1]
  bmc.user                   admin
  bmc.password               (secret)

at once: DHCP answers otherwise for c[001-002]
2> change 1: 2 nodes c[001-002] and profile default; to take it back: muster undo 1
2> DIR/nodes.conf: 2 nodes and 1 profile; 1 thing carried over in another form, 4 things not carried over, as listed above
[0]
$ muster import warewulf DIR/nodes.conf --yes
2> DIR/nodes.conf is read as a file of Warewulf 4.6
2> carried over in another form:
2> DIR/nodes.conf:7:5: profile default: root: initramfs: became rootMode squashfs: the root is read from the packed image, writes go to memory
2> not carried over:
2> DIR/nodes.conf:3:5: profile default: image name: rocky-9: muster has no image of this name
2>   fix: muster image import DIR --name rocky-9, then import again
2> DIR/nodes.conf:4:22: profile default: system overlay: wwinit: it comes with Warewulf: muster's agent starts the node
2> DIR/nodes.conf:4:30: profile default: system overlay: hosts: it comes with Warewulf: muster writes /etc/hosts
2> DIR/nodes.conf:4:37: profile default: system overlay: lustre: muster has no overlay of this name
2>   fix: copy its rootfs to lustre/rootfs below paths.overlays (what ends in .ww is a template, which muster does not render), then import again
2> nothing to change
2> DIR/nodes.conf: 2 nodes and 1 profile; 1 thing carried over in another form, 4 things not carried over, as listed above
[0]
$ muster export warewulf
# nodes.conf for Warewulf 4.6 and 4.7, written by muster.
# What Warewulf has no words for stands in lines that begin with "# muster:".
nodeprofiles:
  default:
    # muster: bmc.password: "(kept)" (written with --secrets only)
    root: initramfs
    kernel:
      args:
        - quiet
        - crashkernel=no
    ipmi:
      username: admin
nodes:
  c001:
    profiles:
      - default
    network devices:
      default:
        device: eno1
        hwaddr: "52:54:00:00:00:01"
        ipaddr: 10.77.0.11
        tags:
          DNS1: 10.77.0.1
  c002:
    profiles:
      - default
    network devices:
      default:
        device: eno1
        hwaddr: "52:54:00:00:00:02"
        ipaddr: 10.77.0.12
        tags:
          DNS1: 10.77.0.1
2> bmc.password: written with --secrets only (1 record)
2> 1 thing not in nodes.conf; comments in it say which and where
[0]
`;

const REFUSED = `$ muster import warewulf DIR/nodes.conf --yes
2> DIR/nodes.conf is read as a file of Warewulf 4.6
2> carried over in another form:
2> DIR/nodes.conf:7:5: profile default: root: initramfs: became rootMode squashfs: the root is read from the packed image, writes go to memory
2> not carried over:
2> DIR/nodes.conf:3:5: profile default: image name: rocky-9: muster has no image of this name
2>   fix: muster image import DIR --name rocky-9, then import again
2> DIR/nodes.conf:4:22: profile default: system overlay: wwinit: it comes with Warewulf: muster's agent starts the node
2> DIR/nodes.conf:4:30: profile default: system overlay: hosts: it comes with Warewulf: muster writes /etc/hosts
2> DIR/nodes.conf:4:37: profile default: system overlay: lustre: muster has no overlay of this name
2>   fix: copy its rootfs to lustre/rootfs below paths.overlays (what ends in .ww is a template, which muster does not render), then import again
2> DIR/nodes.conf:16:31: node c002: device default: 52:54:00:00:00:01 is also that of c001, device default; let one of them have it
2> DIR/nodes.conf:16:58: node c002: device default: 10.77.0.11 is also that of c001, device default; let one of them have it
2> 2 things to put right; nothing was changed
[2]
`;

const CONF = `$ muster import warewulf DIR/nodes.conf --conf DIR/warewulf.conf --yes
# muster.yaml, from warewulf.conf: see what \`muster config check\` says of it
controller:
  address: 10.77.0.1
network:
  subnet: 10.77.0.0/24
dhcp:
  mode: dnsmasq
2> not in muster.yaml of what DIR/warewulf.conf says:
2> DIR/warewulf.conf:2:16: nfs.enabled: true: exports stay as they are on this host, in /etc/exports; what nodes mount goes into an overlay of your own
2> DIR/nodes.conf is read as a file of Warewulf 4.6
c001: added
2> change 1: 1 node c001; to take it back: muster undo 1
2> DIR/nodes.conf: 1 node and 0 profiles, with everything they say
[0]
`;

const FILES = `$ muster import warewulf DIR/none --yes
2> muster: DIR/none: cannot be read: ENOENT: no such file or directory, open 'DIR/none'
2>   fix: give a file that you may read, or - for standard input
[3]
$ muster import warewulf - --conf - --yes
2> muster: both files are to be read from standard input
2>   fix: give one of them by its name
[2]
`;

describe("a site that comes from Warewulf", () => {
  test("reads like this, and importing again does nothing", async () => {
    await write("nodes.conf", NODES_CONF);
    expect(await replay(IMPORTED)).toBe(IMPORTED);
  });

  test("is told all that is wrong with its file at once, and nothing is changed", async () => {
    const twice = NODES_CONF.replace("52:54:00:00:00:02", "52:54:00:00:00:01").replace("77.0.12", "77.0.11");
    await write("nodes.conf", twice);
    expect(await replay(REFUSED)).toBe(REFUSED);
    expect(await cli.site.deps.inventory.listRecords()).toEqual({ nodes: [], profiles: [] });
  });

  test("is shown what muster.yaml would say", async () => {
    await write("nodes.conf", "nodes: {c001: {}}\n");
    await write("warewulf.conf", "ipaddr: 10.77.0.1/24\nnfs: {enabled: true}\n");
    expect(await replay(CONF)).toBe(CONF);
  });

  test("gets it all as data", async () => {
    await write("nodes.conf", NODES_CONF);
    await write("warewulf.conf", "ipaddr: 10.77.0.1/24\nnfs: {enabled: true}\n");
    let data = "";
    const line = `import warewulf ${directory}/nodes.conf --conf ${directory}/warewulf.conf --dry-run -o json`;
    await cli.type(line, { out: (text) => (data += text) });
    expect(JSON.parse(data)).toMatchObject({
      import: {
        format: "4.6",
        nodes: 2,
        profiles: 1,
        changed: [{ kind: "profile", names: ["default"], key: "root", value: "initramfs" }],
        left: [
          {
            kind: "profile",
            names: ["default"],
            key: "image name",
            value: "rocky-9",
            why: "muster has no image of this name",
            fix: "muster image import DIR --name rocky-9, then import again",
            places: [{ line: 3, column: 5 }],
          },
          { value: "wwinit" },
          { value: "hosts" },
          { value: "lustre" },
        ],
        site: { left: [{ key: "nfs.enabled", value: "true" }] },
      },
    });
    expect(await cli.site.deps.inventory.listRecords()).toEqual({ nodes: [], profiles: [] });
  });

  test("is told of files that cannot be read", async () => {
    expect(await replay(FILES)).toBe(FILES);
  });

  test("has the overlays carried over that the controller has", async () => {
    await write("nodes.conf", NODES_CONF.replace("lustre", "site"));
    await muster("import warewulf DIR/nodes.conf --yes");
    const { profiles } = await cli.site.deps.inventory.listRecords();
    expect(profiles.map(({ fields }) => fields.overlays)).toEqual([["site"]]);
  });
});
