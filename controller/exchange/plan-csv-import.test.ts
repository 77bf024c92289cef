import { describe, expect, it } from "vitest";

import { renderConfigFindings } from "../config/config-finding.ts";
import { parseCsvMap } from "./plan-csv-columns.ts";
import { planCsvImport } from "./plan-csv-import.ts";

function planned(text: string, map: readonly string[] = []) {
  const { nodes, columns, findings, leftOver } = planCsvImport(text, { mapping: parseCsvMap(map) });
  return {
    columns: columns.map(
      ({ header, target }) => `${header}: ${target === "name" ? target : target.path.join(".")}`,
    ),
    nodes: nodes.map(({ name, settings }) =>
      [name, ...settings.map(({ path, value }) => `${path.join(".")}=${JSON.stringify(value)}`)].join(" "),
    ),
    told: renderConfigFindings("nodes.csv", [...findings, ...leftOver]),
  };
}

describe("columns", () => {
  it("are told by what people call things, and by the names and options of fields", () => {
    const text =
      "Host Name,MAC Address,IP,Subnet Mask,iDRAC IP,Rack,Notes,root-mode,kernelVersion,MTU,tags.row,bmc.user,Serial,\n";
    expect(planned(text)).toEqual({
      columns: [
        "Host Name: name",
        "MAC Address: devices.(boot).mac",
        "IP: devices.(boot).address",
        "Subnet Mask: devices.(boot).netmask",
        "iDRAC IP: bmc.address",
        "Rack: tags.rack",
        "Notes: comment",
        "root-mode: rootMode",
        "kernelVersion: kernelVersion",
        "MTU: devices.(boot).mtu",
        "tags.row: tags.row",
        "bmc.user: bmc.user",
      ],
      nodes: [],
      told: ['nodes.csv:1:104: Serial: this column is not taken; --map tags.KEY="Serial" keeps it as a tag'],
    });
  });

  it("are what --map says, before what they are called", () => {
    const text = "Hostname,IP,IP 2,Alias\nc001,10.1.0.1,10.2.0.1,one\n";
    expect(planned(text, ["devices.ib0.address=IP 2,name=Alias", 'tags."a.b"=Hostname'])).toEqual({
      columns: [
        "IP 2: devices.ib0.address",
        "Alias: name",
        "Hostname: tags.a.b",
        "IP: devices.(boot).address",
      ],
      nodes: ['one devices.ib0.address="10.2.0.1" tags.a.b="c001" devices.(boot).address="10.1.0.1"'],
      told: [],
    });
  });

  it("that cannot be are findings", () => {
    expect(planned("Hostname,Node,IP\n").told).toEqual([
      "nodes.csv:1:10: Node: is name, as column Hostname is; say which: --map name=COLUMN",
    ]);
    expect(planned("IP,Rack\n").told).toEqual([
      "nodes.csv:1:1: no column has the names of the nodes; say which: --map name=COLUMN",
    ]);
    expect(
      planned("name,xyz\n", ["address=abc", "devices.eno1.adress=xyz", "tag=xyz", "image.x=xyz"]).told,
    ).toEqual([
      'nodes.csv:1:1: --map: there is no column "abc"; the columns are name, xyz',
      "nodes.csv:1:6: --map devices.eno1.adress: is no field; did you mean devices.eno1.address?",
      "nodes.csv:1:6: --map tag: is no field; write tags.KEY",
      "nodes.csv:1:6: --map image.x: is no field: it goes on below one value",
    ]);
    expect(planned("\n\n").told).toEqual(["nodes.csv:1:1: there is no line with the names of the columns"]);
    expect(() => parseCsvMap(["name"])).toThrow('--map "name" names no field and column');
  });

  it("whose names have commas can be mapped", () => {
    expect(parseCsvMap(["name=Host, long,mac=MAC"])).toEqual([
      { field: "name", header: "Host, long" },
      { field: "mac", header: "MAC" },
    ]);
  });
});

describe("lines", () => {
  it("are nodes; values have the inventory's form, and empty cells say nothing", () => {
    const text = [
      "name;mac;mtu;profiles;kernel-argument;on-boot;root-size",
      "C001.hpc.example;AA-BB-CC-00-00-01; 9000 ;compute, gpu;console=ttyS0,115200 quiet;yes;8G",
      "c002;;;;;;",
    ].join("\r\n");
    expect(planned(text).nodes).toEqual([
      'c001 devices.(boot).mac="aa:bb:cc:00:00:01" devices.(boot).mtu=9000 profiles=["compute","gpu"] kernelArguments=["console=ttyS0,115200","quiet"] devices.(boot).onBoot=true rootSizeBytes=8589934592',
      "c002",
    ]);
  });

  it("have findings of their own, all of them, and the others are nodes", () => {
    const text = [
      "name,mac,address",
      "c001,xx,10.1.0.300",
      "c_2,,",
      ",52:54:00:00:00:03,",
      "c004,,,more",
      "c005,52:54:00:00:00:05,",
      "c005,52:54:00:00:00:06,",
      "c006",
    ].join("\n");
    expect(planned(text)).toEqual({
      columns: ["name: name", "mac: devices.(boot).mac", "address: devices.(boot).address"],
      nodes: ["c001", "c004", 'c005 devices.(boot).mac="52:54:00:00:00:05"', "c006"],
      told: [
        'nodes.csv:2:6: c001 mac: "xx" is not the MAC address of an interface; write six bytes in hex: 52:54:00:12:34:56',
        'nodes.csv:2:9: c001 address: "10.1.0.300" is not the IPv4 address of a host',
        expect.stringMatching(/^nodes\.csv:3:1: c_2: "c_2" is not a node name/),
        "nodes.csv:4:1: this line names no node",
        "nodes.csv:5:8: more: stands in a column without a name; put a cell with a comma in it in quotes",
        "nodes.csv:7:1: c005: is in line 6 already; delete one of them",
      ],
    });
  });

  it("of nodes that are not in --match are left over", () => {
    const { nodes, leftOver } = planCsvImport("name\nc001\nc002\n", {
      mapping: [],
      match: new Set(["c002"]),
    });
    expect(nodes.map(({ name }) => name)).toEqual(["c002"]);
    expect(renderConfigFindings("nodes.csv", leftOver)).toEqual([
      "nodes.csv:2:1: c001: is not taken: it is not in --match",
    ]);
  });

  it("of a file that cannot be read are not looked at", () => {
    expect(planned('name,mac\nc001,"x\n')).toEqual({
      columns: [],
      nodes: [],
      told: ['nodes.csv:2:6: this quote is never closed; close it with "; write a quote within as ""'],
    });
  });
});
