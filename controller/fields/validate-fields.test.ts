import { describe, expect, it, test } from "vitest";

import type { Json } from "./fields.ts";
import { validateFields } from "./validate-fields.ts";

type Written = Readonly<Record<string, Json>>;

/** What may be written, and what it becomes. */
const READ: readonly (readonly [what: string, written: Written, fields: Written])[] = [
  ["nothing", {}, {}],
  ["null is absent", { image: null, devices: null, tags: null }, {}],
  ["empty is absent", { image: "", overlays: [], tags: {}, bmc: {} }, {}],
  ["a boolean as text", { discoverable: "yes" }, { discoverable: true }],
  ["a boolean as a number", { discoverable: 0 }, { discoverable: false }],
  ["a boolean in capitals", { bmc: { write: "FALSE" } }, { bmc: { write: false } }],
  ["a number as text", { bmc: { port: "623" } }, { bmc: { port: 623 } }],
  ["a size in bytes", { rootSizeBytes: 67108864 }, { rootSizeBytes: 67108864 }],
  ["a size with a unit", { rootSizeBytes: "1.5G" }, { rootSizeBytes: 1610612736 }],
  ["a size in words of IEC", { rootSizeBytes: "512 MiB" }, { rootSizeBytes: 536870912 }],
  ["a text that looks like a number", { kernelVersion: "6.10" }, { kernelVersion: "6.10" }],
  [
    "the address of an InfiniBand port",
    {
      devices: { ib0: { infinibandAddress: "80-00-02-08-FE-80-00-00-00-00-00-00-E4-1D-2D-03-00-4F-12-A1" } },
    },
    {
      devices: { ib0: { infinibandAddress: "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:4f:12:a1" } },
    },
  ],
  [
    "any spelling of a MAC",
    { devices: { eno1: { mac: "5254.0000.000A" } } },
    { devices: { eno1: { mac: "52:54:00:00:00:0a" } } },
  ],
  [
    "a netmask as the length of a prefix",
    { devices: { e: { netmask: "/24" } } },
    { devices: { e: { netmask: "255.255.255.0" } } },
  ],
  [
    "also as a number",
    { devices: { e: { netmask: 32 } } },
    { devices: { e: { netmask: "255.255.255.255" } } },
  ],
  [
    "any spelling of an IPv6 address",
    { devices: { e: { address6: "FD00:0:0::0001" } } },
    { devices: { e: { address6: "fd00::1" } } },
  ],
  [
    "a GUID in capitals",
    { fileSystems: { "/dev/sda1": { uuid: "0FC63DAF-8483-4772-8E79-3D69D8477DE4" } } },
    { fileSystems: { "/dev/sda1": { uuid: "0fc63daf-8483-4772-8e79-3d69d8477de4" } } },
  ],
  [
    "the id of a FAT file system",
    { fileSystems: { "/dev/sda1": { uuid: "1A2B-3C4D" } } },
    { fileSystems: { "/dev/sda1": { uuid: "1a2b-3c4d" } } },
  ],
  [
    "swap as what is mounted",
    { fileSystems: { "/dev/sda2": { format: "swap", path: "swap" } } },
    { fileSystems: { "/dev/sda2": { format: "swap", path: "swap" } } },
  ],
  ["a template by path", { bmc: { template: "/etc/bmc/x.tmpl" } }, { bmc: { template: "/etc/bmc/x.tmpl" } }],
  ["a path with a slash at its end", { init: "/sbin/init/" }, { init: "/sbin/init" }],
  [
    "elements taken out",
    { profiles: ["a", "~b"], kernelArguments: ["~quiet"] },
    { profiles: ["a", "~b"], kernelArguments: ["~quiet"] },
  ],
  [
    "an argument twice",
    { kernelArguments: ["console=tty0", "console=tty0"] },
    { kernelArguments: ["console=tty0", "console=tty0"] },
  ],
  [
    "blanks around what cannot have them",
    { image: " debian ", overlays: [" a "] },
    { image: "debian", overlays: ["a"] },
  ],
  ["blanks in a secret", { bmc: { password: " x " } }, { bmc: { password: " x " } }],
  [
    "routes",
    { devices: { e: { routes: ["10.2.0.0/16   via 10.1.0.1", "blackhole 10.3.0.0/16"] } } },
    { devices: { e: { routes: ["10.2.0.0/16 via 10.1.0.1", "blackhole 10.3.0.0/16"] } } },
  ],
  ["several lines in a resource", { resources: { key: "a\n\tb\n" } }, { resources: { key: "a\n\tb\n" } }],
];

/** What is wrong: where, what, and the fix. */
const WRONG: readonly (readonly [what: string, written: unknown, at: string, said: string, fix?: string])[] =
  [
    ["no map at all", [], "", "must be a map of fields, not a list"],
    ["a text for a group", { bmc: "x" }, "bmc", "must be a map of fields, not a string"],
    ["a field nobody knows", { imgae: "a" }, "imgae", "is no field", "did you mean image?"],
    [
      "Warewulf's name of a field",
      { devices: { e: { hwaddr: "x" } } },
      "devices.e.hwaddr",
      "is no field",
      "it is called mac here",
    ],
    [
      "a field of a device that nobody knows",
      { devices: { e: { zzzzzz: "x" } } },
      "devices.e.zzzzzz",
      "is no field",
      "known are interface, type, onBoot, mac, infinibandAddress, address, netmask, gateway, address6, prefixLength6, gateway6, method6, mtu, dns, dnsSearch, routes, master, bondMode, miimon, downDelay, upDelay, xmitHashPolicy, vlanId, parent, stp, ipoibMode, pkey, clonedMac, tags",
    ],
    [
      "a number for text",
      { kernelVersion: 6.1 },
      "kernelVersion",
      "must be text, not a number",
      'write it in quotes: "6.1"',
    ],
    [
      "true for text",
      { comment: true },
      "comment",
      "must be text, not true or false",
      'write it in quotes: "true"',
    ],
    ["a list for text", { image: ["a"] }, "image", "must be text, not a list"],
    ["a map for a number", { bmc: { port: {} } }, "bmc.port", "must be a whole number, not a map"],
    [
      "a boolean for a number",
      { bmc: { port: true } },
      "bmc.port",
      "must be a whole number, not true or false",
      'write it in quotes: "true"',
    ],
    ["a name of an image", { image: "Bad Name" }, "image", '"Bad Name" is not the name of an image'],
    [
      "a word",
      { rootMode: "squash" },
      "rootMode",
      '"squash" is not one of squashfs, tmpfs',
      "did you mean squashfs?",
    ],
    ["a word nothing is like", { rootMode: "nfs" }, "rootMode", '"nfs" is not one of squashfs, tmpfs'],
    [
      "a boolean",
      { discoverable: "maybe" },
      "discoverable",
      '"maybe" is neither true nor false',
      "write true or false",
    ],
    [
      "a size",
      { rootSizeBytes: "8 apples" },
      "rootSizeBytes",
      '"8 apples" is not a size',
      "write bytes, or a number and a unit: 8G",
    ],
    ["a size that is too small", { rootSizeBytes: "1M" }, "rootSizeBytes", '"1M" is less than 64 MiB'],
    [
      "a size that no number holds",
      { rootSizeBytes: "9999999999999999P" },
      "rootSizeBytes",
      '"9999999999999999P" is not a size',
      "write bytes, or a number and a unit: 8G",
    ],
    [
      "a number that is too big",
      { bmc: { port: 65536 } },
      "bmc.port",
      '"65536" is not a whole number from 1 to 65535',
    ],
    ["half a number", { bmc: { port: 1.5 } }, "bmc.port", '"1.5" is not a whole number from 1 to 65535'],
    [
      "an MTU",
      { devices: { e: { mtu: 67 } } },
      "devices.e.mtu",
      '"67" is not a whole number from 68 to 65520',
    ],
    [
      "a MAC",
      { devices: { e: { mac: "ff:ff:ff:ff:ff:ff" } } },
      "devices.e.mac",
      '"ff:ff:ff:ff:ff:ff" is not the MAC address of an interface',
      "write six bytes in hex: 52:54:00:12:34:56",
    ],
    [
      "the address of an InfiniBand port that is too short",
      { devices: { ib0: { infinibandAddress: "e4:1d:2d:03:00:4f:12:a1" } } },
      "devices.ib0.infinibandAddress",
      '"e4:1d:2d:03:00:4f:12:a1" is not the hardware address of an InfiniBand port',
      "write its 20 bytes in hex, as ip link shows them",
    ],
    [
      "an address of no host",
      { devices: { e: { address: "127.0.0.1" } } },
      "devices.e.address",
      '"127.0.0.1" is not the IPv4 address of a host',
    ],
    [
      "an address with a length",
      { devices: { e: { address: "10.0.0.1/24" } } },
      "devices.e.address",
      '"10.0.0.1/24" is not the IPv4 address of a host',
      "write the address alone, and the network's mask as netmask",
    ],
    [
      "a netmask with a hole",
      { devices: { e: { netmask: "255.0.255.0" } } },
      "devices.e.netmask",
      '"255.0.255.0" is not a netmask, for example 255.255.255.0',
    ],
    [
      "an IPv6 address with a length",
      { devices: { e: { address6: "fd00::1/64" } } },
      "devices.e.address6",
      '"fd00::1/64" is not an IPv6 address',
      "write the address alone, and its length as prefixLength6",
    ],
    [
      "an IPv6 address of a group",
      { devices: { e: { gateway6: "ff02::1" } } },
      "devices.e.gateway6",
      '"ff02::1" is not the IPv6 address of a host',
    ],
    [
      "a GUID",
      { fileSystems: { "/dev/sda1": { uuid: "x" } } },
      "fileSystems./dev/sda1.uuid",
      '"x" is not a GUID',
      "write it as 0fc63daf-8483-4772-8e79-3d69d8477de4",
    ],
    [
      "a path",
      { init: "sbin/init" },
      "init",
      '"sbin/init" is not an absolute path',
      "start it with / and leave out ..",
    ],
    [
      "a path that climbs",
      { init: "/sbin/../x" },
      "init",
      '"/sbin/../x" is not an absolute path',
      "start it with / and leave out ..",
    ],
    [
      "an interface",
      { devices: { e: { interface: "a/b" } } },
      "devices.e.interface",
      '"a/b" is not the name of a network interface',
    ],
    [
      "an interface that is too long",
      { devices: { e: { interface: "a234567890123456" } } },
      "devices.e.interface",
      '"a234567890123456" is not the name of a network interface',
    ],
    [
      "a name of a device",
      { devices: { "a b": { mtu: 1500 } } },
      'devices."a b"',
      '"a b" is not the name of a device',
    ],
    [
      "a device called like what every object has",
      { devices: { constructor: { mtu: 1500 } } },
      "devices.constructor",
      '"constructor" is not the name of a device',
    ],
    [
      "a device without fields",
      { devices: { eno1: {} } },
      "devices.eno1",
      "has no fields",
      "write type: ethernet, or leave it out",
    ],
    [
      "a disk",
      { disks: { sda: { wipeTable: true } } },
      "disks.sda",
      '"sda" is not the path of a disk: /dev/sda',
    ],
    ["a text for a list", { overlays: "a" }, "overlays", "must be a list", 'write ["a"]'],
    ["a map for a list", { overlays: {} }, "overlays", "must be a list"],
    [
      "a number in a list",
      { overlays: [1] },
      "overlays[0]",
      "must be text, not a number",
      'write it in quotes: "1"',
    ],
    ["nothing in a list", { overlays: [null] }, "overlays[0]", "must be text, not nothing"],
    ["an overlay twice", { overlays: ["a", "a"] }, "overlays[1]", '"a" is named twice'],
    ["a profile", { profiles: ["a b"] }, "profiles[0]", '"a b" is not the name of a profile'],
    [
      "an argument with a blank",
      { kernelArguments: ["a b"] },
      "kernelArguments[0]",
      '"a b" holds a blank outside "..."',
      "one list element per argument",
    ],
    [
      "an argument that is the controller's",
      { kernelArguments: ["muster.token=x"] },
      "kernelArguments[0]",
      "muster.token is said by the controller alone",
    ],
    ["an empty argument", { kernelArguments: [""] }, "kernelArguments[0]", '"" is empty'],
    [
      "an argument of iPXE's",
      { kernelArguments: ["a=${net0/ip}"] },
      "kernelArguments[0]",
      '"a=${net0/ip}" holds ${, which iPXE would replace by one of its settings',
    ],
    [
      "arguments that are too long together",
      { kernelArguments: ["a".repeat(500), "b".repeat(500), "c".repeat(500)] },
      "kernelArguments",
      "together they are longer than 1024 bytes",
    ],
    ["a name server", { devices: { e: { dns: ["x"] } } }, "devices.e.dns[0]", '"x" is not an IP address'],
    [
      "a route",
      { devices: { e: { routes: ["10.2.0.0/16 through 10.1.0.1"] } } },
      "devices.e.routes[0]",
      '"10.2.0.0/16 through 10.1.0.1" is not a route: through is no word of it',
      "write it as in ip-route(8): 10.2.0.0/16 via 10.1.0.1",
    ],
    [
      "too many elements",
      { overlays: Array.from({ length: 65 }, (_, index) => `a${index}`) },
      "overlays",
      "there are more than 64",
    ],
    [
      "too many devices",
      { devices: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`e${index}`, { mtu: 1500 }])) },
      "devices",
      "there are more than 32",
    ],
    [
      "too many tags",
      { tags: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`t${index}`, "x"])) },
      "tags",
      "there are more than 64",
    ],
    ["a list for tags", { tags: ["a"] }, "tags", "must be a map of tags", "write KEY: value, one a line"],
    [
      "a number for a tag",
      { tags: { rack: 12 } },
      "tags.rack",
      "must be text, not a number",
      'write it in quotes: "12"',
    ],
    ["a key of a tag", { tags: { "a b": "x" } }, "tags", '"a b" is not a tag: letters, digits and ._/- only'],
    [
      "a tag that is too long",
      { tags: { a: "x".repeat(257) } },
      "tags.a",
      "is longer than 256 characters or holds control characters",
    ],
    [
      "a comment that is too long",
      { comment: "x".repeat(1025) },
      "comment",
      "is longer than 1024 characters",
    ],
    ["a control character", { comment: "a\u001b[31m" }, "comment", '"a\\u001b[31m" holds control characters'],
    ["half of a surrogate pair", { comment: "a\ud800" }, "comment", '"a\\ud800" holds control characters'],
    [
      "a control character in a list",
      { devices: { e: { dnsSearch: ["a\u0000"] } } },
      "devices.e.dnsSearch[0]",
      '"a\\u0000" holds control characters',
    ],
    [
      "a control character in a resource",
      { resources: { a: { b: ["\u0007"] } } },
      "resources.a.b[0]",
      "holds control characters or is no value of YAML",
    ],
    [
      "no number in a resource",
      { resources: { a: Number.NaN } },
      "resources.a",
      "holds control characters or is no value of YAML",
    ],
    [
      "a date in a resource",
      { resources: { a: undefined } },
      "resources.a",
      "holds control characters or is no value of YAML",
    ],
    ["a text for resources", { resources: "x" }, "resources", "must be a map"],
  ];

describe("fields may be written as", () => {
  test.each(READ)("%s", (_what, written, fields) => {
    expect(validateFields("node", written, "")).toEqual({ fields, findings: [] });
  });
});

describe("fields are refused for", () => {
  test.each(WRONG)("%s", (_what, written, at, what, fix) => {
    expect(validateFields("node", written, "").findings).toEqual([
      { at, what, ...(fix === undefined ? {} : { fix }) },
    ]);
  });
});

describe("validating fields", () => {
  it("repeats no secret in what it finds", () => {
    for (const password of [13371337, "1337\u0007", "1337".repeat(100), ["1337"]]) {
      const { findings } = validateFields("node", { bmc: { password } }, "");
      expect(findings.map(({ at }) => at)).toEqual(["bmc.password"]);
      expect(JSON.stringify(findings)).not.toContain("1337");
    }
  });

  it("finds everything at once, at places in the whole document, and keeps what is right", () => {
    const written = { image: "a", rootMode: "x", devices: { e: { mac: "x", mtu: 1500 } }, tags: { a: 1 } };
    const { fields, findings } = validateFields("node", written, "nodes.c001");
    expect(findings.map(({ at }) => at)).toEqual([
      "nodes.c001.rootMode",
      "nodes.c001.devices.e.mac",
      "nodes.c001.tags.a",
    ]);
    expect(fields).toEqual({ image: "a", devices: { e: { mtu: 1500 } } });
    expect(validateFields("node", 7, "nodes.c001").findings).toEqual([
      { at: "nodes.c001", what: "must be a map of fields, not a number" },
    ]);
  });

  it("lets profiles have no field that only nodes have", () => {
    expect(validateFields("profile", { assetKey: "x", image: "a" }, "")).toEqual({
      fields: { image: "a" },
      findings: [
        {
          at: "assetKey",
          what: "only nodes have it, profiles do not",
          fix: "take it out, or set it on nodes",
        },
      ],
    });
  });

  it("does not let __proto__ in", () => {
    const written: unknown = JSON.parse(
      '{"__proto__": {"image": "a"}, "devices": {"__proto__": {"mtu": 1500}}, "tags": {"__proto__": "x"}, "resources": {"a": {"__proto__": 1}}}',
    );
    const { fields, findings } = validateFields("node", written, "");
    expect(fields).toEqual({});
    expect(findings.map(({ at }) => at)).toEqual(["__proto__", "devices.__proto__", "tags", "resources.a"]);
  });

  it("is done with a bomb of nested aliases before it goes off", () => {
    let bomb: Json = ["x", "x"];
    for (let depth = 0; depth < 12; depth++) bomb = Array.from({ length: 10 }, () => bomb);
    const circle: Record<string, unknown> = {};
    circle["a"] = circle;
    const start = performance.now();
    expect(validateFields("node", { resources: { bomb } }, "").findings).toEqual([
      { at: "resources", what: "holds more than 10000 values" },
    ]);
    expect(validateFields("node", { resources: circle }, "").findings).toEqual([
      { at: "resources", what: "is nested deeper than 16" },
    ]);
    expect(validateFields("node", { resources: { a: "x".repeat(300_000) } }, "").findings).toEqual([
      { at: "resources", what: "is larger than 256 KiB" },
    ]);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
