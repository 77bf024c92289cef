import { describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";

import { makeTestDevice as device, makeTestNode as node } from "./make-test-node.ts";
import { planExportedNodes } from "./plan-exported-nodes.ts";
import { renderAnsibleHost, renderAnsibleList } from "./render-ansible.ts";
import { renderClustershell } from "./render-clustershell.ts";
import { renderEthers } from "./render-ethers.ts";
import { renderGenders } from "./render-genders.ts";
import { renderHosts } from "./render-hosts.ts";
import { renderMpiHosts } from "./render-mpi-hosts.ts";
import { renderPartitions } from "./render-partitions.ts";

const MAC = parseMacAddress("52:54:00:00:00:01");

describe("what is exported", () => {
  it("is nodes in effect, in natural order, with all profiles that apply", () => {
    const record = (kind: "node" | "profile", name: string, fields: object) => ({
      kind,
      name,
      revision: 1,
      fields,
    });
    const state = {
      nodes: [
        record("node", "c10", {
          profiles: ["gpu", "~slow"],
          devices: { net0: { interface: "eno1", mac: MAC } },
        }),
        record("node", "c9", { comment: "old", bmc: { address: "10.9.0.9" } }),
      ],
      profiles: [
        record("profile", "base", { image: "debian12", tags: { site: "a" } }),
        record("profile", "gpu", { profiles: ["base", "slow"], cluster: "one" }),
        record("profile", "slow", { tags: { slow: "" } }),
      ],
    };
    expect(planExportedNodes(state, new Map([["c9", "ready"]]))).toEqual([
      {
        name: "c9",
        comment: "old",
        profiles: [],
        tags: {},
        devices: [],
        bmc: { address: "10.9.0.9" },
        state: "ready",
      },
      {
        name: "c10",
        image: "debian12",
        cluster: "one",
        profiles: ["base", "gpu"],
        tags: { site: "a" },
        devices: [{ key: "net0", name: "eno1", type: "ethernet", mac: MAC }],
      },
    ]);
  });
});

describe("hosts", () => {
  const c001 = node("c001", {
    devices: [
      device("eno1", { mac: MAC, address: "10.1.0.1", address6: "fd00::1" }),
      device("ib0", { type: "infiniband", address: "10.2.0.1" }),
      device("eno2"),
    ],
    bmc: { address: "10.9.0.1" },
  });

  it("has all addresses: a node's name is where it boots, its other devices and its BMC have longer names", () => {
    expect(renderHosts([c001])).toEqual({
      text: "10.1.0.1 c001 c001-eno1\nfd00::1 c001 c001-eno1\n10.2.0.1 c001-ib0\n10.9.0.1 c001-bmc\n",
      notes: [],
    });
    expect(renderHosts([c001], "hpc.example").text.split("\n")[0]).toBe(
      "10.1.0.1 c001.hpc.example c001 c001-eno1",
    );
  });

  it("names an address once: a node that is called like a device of another keeps its name", () => {
    const other = node("c001-ib0", { devices: [device("eno1", { address: "10.1.0.2" })] });
    expect(renderHosts([c001, other])).toEqual({
      text: "10.1.0.1 c001 c001-eno1\nfd00::1 c001 c001-eno1\n10.9.0.1 c001-bmc\n10.1.0.2 c001-ib0 c001-ib0-eno1\n",
      notes: ["c001-ib0 is a node: device ib0 of c001 has no name in the file"],
    });
  });

  it("has no line for a node without addresses, and says so; one of IPv6 will do", () => {
    const six = node("c003", { devices: [device("eno1", { address6: "fd00::3" })] });
    expect(renderHosts([node("c002", { devices: [device("eno1", { mac: MAC })] }), six])).toEqual({
      text: "fd00::3 c003 c003-eno1\n",
      notes: ["c002 has no address"],
    });
  });

  it("a node that boots from a device without an address is named by its first address", () => {
    const late = node("c004", {
      devices: [device("eno1", { mac: MAC }), device("eno2", { address: "10.1.0.4" })],
    });
    expect(renderHosts([late]).text).toBe("10.1.0.4 c004 c004-eno2\n");
  });
});

describe("ethers", () => {
  it("has the MACs of Ethernet devices, the first under the node's own name", () => {
    const devices = [
      device("eno1", { mac: MAC }),
      device("eno2", { mac: parseMacAddress("52:54:00:00:01:01") }),
      device("ib0", { type: "infiniband", mac: parseMacAddress("52:54:00:00:02:01") }),
      device("bond0", { type: "bond" }),
    ];
    expect(renderEthers([node("c001", { devices }), node("c002")])).toEqual({
      text: "52:54:00:00:00:01 c001\n52:54:00:00:01:01 c001-eno2\n",
      notes: ["c002 has no MAC"],
    });
  });
});

describe("genders", () => {
  it("has a line for nodes with the same attributes: profiles, image, tags", () => {
    const common = {
      profiles: ["base", "gpu"],
      image: "debian12",
      tags: { fast: "", rack: "7", url: "http://%n" },
    };
    expect(
      renderGenders([
        node("c001", common),
        node("c002", common),
        node("r1c1", common),
        node("r2c1", common),
        node("x"),
      ]),
    ).toEqual({
      text:
        "c[001-002] base,gpu,image=debian12,fast,rack=7,url=http://%%n\n" +
        "r1c1 base,gpu,image=debian12,fast,rack=7,url=http://%%n\n" +
        "r2c1 base,gpu,image=debian12,fast,rack=7,url=http://%%n\n" +
        "x\n",
      notes: [],
    });
  });

  it("breaks lists of nodes that nobody could read", () => {
    const odd = Array.from({ length: 2000 }, (_, at) => node(`c${2 * at + 1}`));
    const lines = renderGenders(odd).text.split("\n");
    expect(lines).toHaveLength(9);
    expect(lines[0]).toMatch(/^c\[1,3,5,.*,499\]$/);
    const even = Array.from({ length: 2000 }, (_, at) => node(`c${at + 1}`));
    expect(renderGenders(even).text).toBe("c[1-2000]\n");
  });

  it("leaves out what genders cannot say, and tells it once for all nodes", () => {
    const tags = { note: "two words", list: "a,b", hash: "#1", gpu: "2", image: "mine" };
    const parts = { profiles: ["gpu"], image: "debian12", tags };
    expect(renderGenders([node("c001", parts), node("c002", parts)])).toEqual({
      text: "c[001-002] gpu,image=debian12\n",
      notes: [
        "c[001-002]: tag note is left out: genders takes no blanks, commas or # in values",
        "c[001-002]: tag list is left out: genders takes no blanks, commas or # in values",
        "c[001-002]: tag hash is left out: genders takes no blanks, commas or # in values",
        "c[001-002]: tag gpu is left out: there is an attribute of this name",
        "c[001-002]: tag image is left out: there is an attribute of this name",
      ],
    });
  });
});

describe("groups", () => {
  const nodes = [
    node("c001", { profiles: ["gpu"], image: "debian12", tags: { rack: "a b", fast: "" }, state: "ready" }),
    node("c002", { profiles: ["gpu", "big-mem"], tags: { rack: "1" }, state: "failed" }),
  ];

  it("for ClusterShell are sources called as in node sets", () => {
    expect(renderClustershell(nodes)).toEqual({
      text: `muster:
  all: "c[001-002]"
profile:
  "big-mem": "c002"
  "gpu": "c[001-002]"
image:
  "debian12": "c001"
tag:
  "fast": "c001"
  "rack": "c[001-002]"
  "rack=1": "c002"
state:
  "failed": "c002"
  "ready": "c001"
`,
      notes: ["tag rack=a b is left out: ClusterShell cannot name it"],
    });
  });

  it("for Ansible have names it takes, and hosts have their variables in _meta", () => {
    const { inventory, notes } = renderAnsibleList([
      ...nodes,
      node("c003", {
        profiles: ["big_mem"],
        devices: [device("eno1", { mac: MAC, address: "10.1.0.3", mtu: 9000 })],
      }),
    ]);
    expect(inventory).toEqual({
      _meta: {
        hostvars: {
          c001: {
            muster_profiles: ["gpu"],
            muster_tags: { rack: "a b", fast: "" },
            muster_devices: {},
            muster_image: "debian12",
            muster_state: "ready",
          },
          c002: {
            muster_profiles: ["gpu", "big-mem"],
            muster_tags: { rack: "1" },
            muster_devices: {},
            muster_state: "failed",
          },
          c003: {
            ansible_host: "10.1.0.3",
            muster_profiles: ["big_mem"],
            muster_tags: {},
            muster_devices: { eno1: { type: "ethernet", mac: MAC, address: "10.1.0.3", mtu: 9000 } },
          },
        },
      },
      all: { hosts: ["c001", "c002", "c003"] },
      profile_big_mem: { hosts: ["c002", "c003"] },
      profile_gpu: { hosts: ["c001", "c002"] },
      image_debian12: { hosts: ["c001"] },
      tag_fast: { hosts: ["c001"] },
      tag_rack: { hosts: ["c001", "c002"] },
      tag_rack_1: { hosts: ["c002"] },
      tag_rack_a_b: { hosts: ["c001"] },
      state_failed: { hosts: ["c002"] },
      state_ready: { hosts: ["c001"] },
    });
    expect(notes).toEqual(["profile big-mem and profile big_mem are both group profile_big_mem to Ansible"]);
  });

  it("one host has cluster, comment and BMC where there are any", () => {
    const all = node("c001", { cluster: "one", comment: "x", bmc: { address: "10.9.0.1" } });
    expect(renderAnsibleHost(all)).toEqual({
      muster_profiles: [],
      muster_tags: {},
      muster_devices: {},
      muster_cluster: "one",
      muster_comment: "x",
      muster_bmc_address: "10.9.0.1",
    });
  });
});

describe("lists for mpirun", () => {
  it("have slots where the cores are known, in the words of Open MPI or MPICH", () => {
    const cores = new Map([["c001", 64]]);
    const notes = ["c[002-003]: hardware is not known yet, so mpirun counts slots"];
    const names = ["c001", "c002", "c003"];
    expect(renderMpiHosts(names, cores, "openmpi")).toEqual({ text: "c001 slots=64\nc002\nc003\n", notes });
    expect(renderMpiHosts(names, cores, "mpich")).toEqual({ text: "c001:64\nc002\nc003\n", notes });
    expect(renderMpiHosts(["c001"], cores, "mpich").notes).toEqual([]);
  });
});

describe("partitions", () => {
  const nodes = [node("c001", { profiles: ["gpu"] }), node("c002", { profiles: ["gpu"] }), node("login")];

  it("are the nodes of a profile, for those that were asked for", () => {
    expect(renderPartitions(nodes, ["gpu"])).toEqual({
      text: "PartitionName=gpu Nodes=c[001-002]\n",
      notes: [],
    });
    expect(renderPartitions(nodes, []).text).toBe("");
  });

  it("of a profile that nobody has are an error", () => {
    expect(() => renderPartitions(nodes, ["gpus"])).toThrow(
      expect.objectContaining({ code: "profile-unknown", fix: "did you mean gpu?" }),
    );
    expect(() => renderPartitions(nodes, ["storage"])).toThrow(
      expect.objectContaining({ fix: "`muster profile list` shows all profiles" }),
    );
  });
});
