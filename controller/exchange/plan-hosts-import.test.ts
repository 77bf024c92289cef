import { describe, expect, it } from "vitest";

import { renderConfigFindings } from "../config/config-finding.ts";
import { renderValue } from "./imported-node.ts";
import { networkOf, readIpv4 } from "../config/ipv4.ts";
import { type HostsChoice, planHostsImport } from "./plan-hosts-import.ts";

const NETWORK = networkOf(readIpv4("10.1.0.0") ?? 0, 16);
const SUFFIXES = new Map([
  ["-ib", "ib0"],
  ["-mgmt-ib", "ib1"],
  ["-bmc", "bmc"],
]);

/** "c001 devices.ib0.address 10.2.0.1", and what is told. */
function planned(
  text: string,
  choice: Partial<HostsChoice>,
): { settings: string[]; told: readonly string[] } {
  const { nodes, findings, leftOver } = planHostsImport(text, { suffixes: new Map(), ...choice });
  return {
    settings: nodes.flatMap(({ name, settings }) =>
      settings.map(({ path, value }) => `${name} ${path.join(".")} ${renderValue(value)}`),
    ),
    told: renderConfigFindings("hosts", [...findings, ...leftOver]),
  };
}

describe("with --match", () => {
  it("takes the lines that have one of the names, whichever of the names it is, and lists the others", () => {
    const text = "127.0.0.1 localhost\n10.1.0.1 web C001\n10.1.0.2 c002\n10.1.0.3 c003\n";
    expect(planned(text, { match: new Set(["c001", "c002"]) })).toEqual({
      settings: ["c001 devices.(boot).address 10.1.0.1", "c002 devices.(boot).address 10.1.0.2"],
      told: [
        "hosts:1:1: localhost: 127.0.0.1 is not taken: none of its names is in --match",
        "hosts:2:10: web: is not taken: a node has no aliases, and this is c001",
        "hosts:4:1: c003: 10.1.0.3 is not taken: none of its names is in --match",
      ],
    });
  });

  it("takes IPv6 addresses beside IPv4", () => {
    const text = "10.1.0.1 c001\nfd00::1 c001\n";
    expect(planned(text, { match: new Set(["c001"]), network: NETWORK })).toEqual({
      settings: ["c001 devices.(boot).address 10.1.0.1", "c001 devices.(boot).address6 fd00::1"],
      told: [],
    });
  });

  it("a second address of a node is listed, unless the network tells which is meant", () => {
    const text = "10.2.0.1 c001\n10.1.0.1 c001\n";
    const match = new Set(["c001"]);
    expect(planned(text, { match })).toEqual({
      settings: ["c001 devices.(boot).address 10.2.0.1"],
      told: [
        "hosts:2:1: c001: 10.1.0.1 is not taken: line 1 gives the same device 10.2.0.1; choose with --network, or name the other device with --suffix",
      ],
    });
    expect(planned(text, { match, network: NETWORK })).toEqual({
      settings: ["c001 devices.(boot).address 10.1.0.1"],
      told: ["hosts:1:1: c001: 10.2.0.1 is not taken: it is outside of --network"],
    });
  });

  it("the same line twice is no news", () => {
    const text = "10.1.0.1 c001\n10.1.0.1 c001\n";
    expect(planned(text, { match: new Set(["c001"]) }).told).toEqual([]);
  });

  it("a node whose own name ends in a suffix is that node", () => {
    const text = "10.1.0.1 head-ib\n";
    expect(planned(text, { match: new Set(["head-ib"]), suffixes: SUFFIXES }).settings).toEqual([
      "head-ib devices.(boot).address 10.1.0.1",
    ]);
  });

  it("a node that only its other devices have lines of is a node all the same", () => {
    expect(planned("10.2.0.1 c001-ib\n", { match: new Set(["c001"]), suffixes: SUFFIXES }).settings).toEqual([
      "c001 devices.ib0.address 10.2.0.1",
    ]);
  });
});

describe("with --network", () => {
  it("the first name of each line in the network is a node; suffixes are other devices, the longest first", () => {
    const text = [
      "10.1.0.1 c001",
      "10.2.0.1 c001-ib",
      "10.3.0.1 c001-mgmt-ib",
      "10.4.0.1 c001-bmc",
      "fd00::4 c001-bmc",
      "10.1.0.9 sw1-ib",
      "10.1.0.8 under_score",
      "10.5.0.1 c009",
      "fd00::9 c009",
    ].join("\n");
    expect(planned(text, { network: NETWORK, suffixes: SUFFIXES })).toEqual({
      settings: [
        "c001 devices.(boot).address 10.1.0.1",
        "c001 devices.ib0.address 10.2.0.1",
        "c001 devices.ib1.address 10.3.0.1",
        "c001 bmc.address 10.4.0.1",
      ],
      told: [
        "hosts:5:1: c001: fd00::4 is not taken: a BMC has no IPv6 address in muster",
        "hosts:6:1: sw1-ib: 10.1.0.9 is not taken: its name has a suffix of --suffix, and there is no such node",
        'hosts:7:1: under_score: 10.1.0.8 is not taken: "under_score" is not a node name',
        "hosts:8:1: c009: 10.5.0.1 is not taken: it is outside of --network",
        "hosts:9:1: c009: fd00::9 is not taken: no line gives the node an IPv4 address of --network",
      ],
    });
  });

  it("long names lose their domain, which is told once", () => {
    const text = "10.1.0.1 c001.hpc.example c001\n10.1.0.2 c002.hpc.example\n";
    expect(planned(text, { network: NETWORK })).toEqual({
      settings: ["c001 devices.(boot).address 10.1.0.1", "c002 devices.(boot).address 10.1.0.2"],
      told: [
        "hosts:1:10: hpc.example: the domain is not taken, here and below: nodes have one-word names; network.domain in muster.yaml is the domain of all",
      ],
    });
  });
});
