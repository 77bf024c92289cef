import { describe, expect, it } from "vitest";

import type { MusterError } from "#proto/contract/muster-error.ts";

import type { Fields } from "../../fields/fields.ts";
import type { InventoryRecord, RecordChange } from "../../inventory/changes.ts";
import type { GivenOption, Selectors } from "./field-options.ts";
import { planFieldChanges, planUnset } from "./plan-field-changes.ts";
import { optionOf, planFieldEdits } from "./plan-field-edits.ts";

const record = (name: string, fields: object, revision = 3): InventoryRecord => ({
  kind: "node",
  name,
  revision,
  fields,
});
const profiles = new Map<string, Fields>([
  ["compute", { overlays: ["site", "gpu"], devices: { default: { mtu: 9000 } } }],
  ["quiet", { profiles: ["compute"], overlays: ["~motd"] }],
  ["storage", { disks: { "/dev/sda": { partitions: { scratch: { sizeMib: 100 } } } } }],
]);

/** "--mtu 9000", as commander reads it behind selectors. */
function option(option: string, path: string, text: string, after: Selectors = {}): GivenOption {
  const action = option.startsWith("--append") || option === "--tag" ? "append" : "set";
  return { option, path, action: /^--remove|untag$/.test(option) ? "remove" : action, text, after };
}

function fieldsAfter(
  records: readonly InventoryRecord[],
  given: readonly GivenOption[],
  assignments: readonly string[] = [],
): readonly (Fields | undefined)[] {
  const selectors = given.flatMap(({ after }) =>
    Object.entries(after as Record<string, string>).map(([selector, name]) => ({
      option: optionOf(selector as keyof Selectors),
      name,
    })),
  );
  const edits = planFieldEdits({ given, selectors, assignments });
  return planFieldChanges(records, edits, profiles).map(({ fields }) => fields);
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    const { code, message, fix } = error as MusterError;
    return `${code}: ${message} | ${fix ?? ""}`;
  }
  return "no error";
}

describe("the device an option is about", () => {
  const mtu = [option("--mtu", "devices.*.mtu", "9000")];

  it.each([
    ["eno1 when there is none", {}, { devices: { eno1: { mtu: 9000 } } }],
    [
      "the first with a MAC",
      { devices: { eno1: { mtu: 1500 }, eno2: { mac: "52:54:00:00:00:01" } } },
      { devices: { eno1: { mtu: 1500 }, eno2: { mac: "52:54:00:00:00:01", mtu: 9000 } } },
    ],
    [
      "the one it boots from",
      { primaryDevice: "ib0", devices: { eno1: { mac: "52:54:00:00:00:01" } } },
      { primaryDevice: "ib0", devices: { eno1: { mac: "52:54:00:00:00:01" }, ib0: { mtu: 9000 } } },
    ],
    [
      "the one that a profile gives",
      { profiles: ["compute"] },
      { profiles: ["compute"], devices: { default: { mtu: 9000 } } },
    ],
  ])("is %s", (_, before, after) => {
    expect(fieldsAfter([record("c001", before)], mtu)).toEqual([after]);
  });

  it("is that of the profile given in the same command", () => {
    const given = [
      option("--mac", "devices.*.mac", "52:54:00:00:00:01"),
      option("--profile", "profiles", "compute"),
    ];
    expect(fieldsAfter([record("c001", {}, 0)], given)).toEqual([
      { profiles: ["compute"], devices: { default: { mac: "52:54:00:00:00:01" } } },
    ]);
  });

  it("is the selected one, wherever the only selector stands, and of several the last before it", () => {
    expect(
      fieldsAfter(
        [record("c001", {})],
        [
          option("--mtu", "devices.*.mtu", "1500", {}),
          option("--address", "devices.*.address", "10.0.0.1", { device: "ib0" }),
        ],
      ),
    ).toEqual([{ devices: { ib0: { address: "10.0.0.1", mtu: 1500 } } }]);
    expect(
      fieldsAfter(
        [record("c001", {})],
        [
          option("--mtu", "devices.*.mtu", "1500", { device: "eno1" }),
          option("--mtu", "devices.*.mtu", "4092", { device: "bond0.100" }),
        ],
      ),
    ).toEqual([{ devices: { "bond0.100": { mtu: 4092 }, eno1: { mtu: 1500 } } }]);
  });

  it("must be clear: options before the first of several, and selectors with nothing behind them, are refused", () => {
    const given = [
      option("--mtu", "devices.*.mtu", "1500"),
      option("--mtu", "devices.*.mtu", "1500", { device: "eno1" }),
      option("--mtu", "devices.*.mtu", "1500", { device: "ib0" }),
    ];
    expect(refusal(() => fieldsAfter([record("c001", {})], given))).toBe(
      "argument-invalid: --mtu stands before the first --device | put it behind the --device it is about",
    );
    expect(
      refusal(() =>
        planFieldEdits({ given: [], selectors: [{ option: "--device", name: "ib0" }], assignments: [] }),
      ),
    ).toBe(
      "argument-invalid: --device ib0 says what the options after it are about, and none follows | put what is to be set behind it, or use PATH=VALUE",
    );
  });
});

describe("disks, partitions and file systems", () => {
  it("are the only ones there are when nobody names them", () => {
    const given = [option("--partition-size", "disks.*.partitions.*.sizeMib", "200")];
    expect(fieldsAfter([record("c001", { profiles: ["storage"] })], given)).toEqual([
      { profiles: ["storage"], disks: { "/dev/sda": { partitions: { scratch: { sizeMib: 200 } } } } },
    ]);
  });

  it("must be named when there is none, or more than one", () => {
    const given = [option("--disk-wipe", "disks.*.wipeTable", "true")];
    expect(refusal(() => fieldsAfter([record("c001", {})], given))).toBe(
      "argument-invalid: --disk-wipe: there is none yet, so it must be named | put --disk NAME before it",
    );
    const two = { disks: { "/dev/sda": { wipeTable: true }, "/dev/sdb": { wipeTable: true } } };
    expect(refusal(() => fieldsAfter([record("c001", two)], given))).toBe(
      "argument-invalid: --disk-wipe: there are 2, /dev/sda, /dev/sdb | put --disk /dev/sda before it",
    );
  });

  it("take the label of a partition for the device that udev makes of it", () => {
    const given = [option("--fs-format", "fileSystems.*.format", "xfs", { fileSystem: "scratch" })];
    expect(fieldsAfter([record("c001", {})], given)).toEqual([
      { fileSystems: { "/dev/disk/by-partlabel/scratch": { format: "xfs" } } },
    ]);
  });
});

describe("several nodes", () => {
  const three = ["c001", "c002", "c003"].map((name) => record(name, {}, 0));
  const devices = (fields: object): object => ({ devices: { eno1: fields } });

  it("get a MAC each, and addresses that count up", () => {
    const given = [
      option(
        "--mac",
        "devices.*.mac",
        ["52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"].join(","),
      ),
      option("--address", "devices.*.address", "10.0.0.254"),
      option("--address6", "devices.*.address6", "fd00::9"),
    ];
    expect(fieldsAfter(three, given)).toEqual([
      devices({ mac: "52:54:00:00:00:01", address: "10.0.0.254", address6: "fd00::9" }),
      devices({ mac: "52:54:00:00:00:02", address: "10.0.0.255", address6: "fd00::a" }),
      devices({ mac: "52:54:00:00:00:03", address: "10.0.1.0", address6: "fd00::b" }),
    ]);
    expect(fieldsAfter(three, [], ["bmc.address=10.9.0.1"])).toEqual([
      { bmc: { address: "10.9.0.1" } },
      { bmc: { address: "10.9.0.2" } },
      { bmc: { address: "10.9.0.3" } },
    ]);
  });

  it.each([
    ["--mac", "devices.*.mac", "52:54:00:00:00:01", "3 nodes cannot have 1 MAC addresses"],
    ["--address", "devices.*.address", "10.0.0", "--address 10.0.0 is not an IPv4 address"],
    ["--address6", "devices.*.address6", "10::z", "--address6 10::z is not an IPv6 address"],
    ["--address", "devices.*.address", "255.255.255.254", "there are no 3 addresses from 255.255.255.254 on"],
    ["--asset-key", "assetKey", "A17", "3 nodes cannot have the same asset-key"],
  ])("are refused with %s of %s = %s", (flag, path, text, what) => {
    expect(refusal(() => fieldsAfter(three, [option(flag, path, text)]))).toContain(what);
  });

  it("are all unset by an empty value", () => {
    const there = three.map(({ name }) => record(name, devices({ mac: "52:54:00:00:00:01", mtu: 9000 })));
    expect(fieldsAfter(there, [option("--mac", "devices.*.mac", "")])).toEqual([
      devices({ mtu: 9000 }),
      devices({ mtu: 9000 }),
      devices({ mtu: 9000 }),
    ]);
  });
});

describe("lists", () => {
  const own = (overlays: readonly string[]): InventoryRecord =>
    record("c001", { profiles: ["compute"], overlays });
  const overlays = (before: readonly string[], ...given: readonly GivenOption[]): unknown =>
    fieldsAfter([own(before)], given).map((fields) => fields?.overlays);

  it.each([
    ["replaces with the words of all its options", ["a"], ["--overlay b", "--overlay c"], [["b", "c"]]],
    ["is unset by an empty word", ["a"], ["--overlay "], [undefined]],
    ["puts one more at the end", ["a"], ["--append-overlay b"], [["a", "b"]]],
    ["leaves out what is there already", ["a"], ["--append-overlay a"], []],
    ["leaves out what a profile gives", ["a"], ["--append-overlay gpu"], []],
    ["takes back what kept a word of a profile out", ["a", "~gpu"], ["--append-overlay gpu"], [["a"]]],
    ["takes a word out", ["a", "b"], ["--remove-overlay a"], [["b"]]],
    ["keeps a word of a profile out", ["a"], ["--remove-overlay gpu"], [["a", "~gpu"]]],
    ["keeps it out once", ["~gpu"], ["--remove-overlay gpu"], []],
  ])("%s", (_, before, words, after) => {
    const given = words.map((word) => {
      const [flag = "", text = ""] = word.split(" ");
      return option(flag, "overlays", text);
    });
    expect(overlays(before, ...given)).toEqual(after);
  });

  it.each([
    ["--append-overlay motd", {}],
    ["--append-overlay motd", { overlays: ["motd"] }],
    ["--overlay motd", {}],
  ])("refuse a word that a profile takes out: %s to %j", (words, own) => {
    const [flag = "", text = ""] = words.split(" ");
    expect(
      refusal(() =>
        fieldsAfter([record("c001", { profiles: ["quiet"], ...own })], [option(flag, "overlays", text)]),
      ),
    ).toBe(
      `argument-invalid: ${flag} motd: profile quiet takes it out (~motd), whoever says it | muster profile set quiet overlays-=~motd`,
    );
  });

  it("refuse it in a whole list too", () => {
    expect(
      refusal(() => fieldsAfter([record("c001", { profiles: ["quiet"] })], [], ["overlays=[site, motd]"])),
    ).toMatch(/^argument-invalid: overlays motd: profile quiet takes it out/);
  });

  it("of profiles are also about those that profiles name", () => {
    const node = (...names: string[]): InventoryRecord => record("c001", { profiles: names });
    const edited = (node: InventoryRecord, flag: string, name: string): unknown =>
      fieldsAfter([node], [option(flag, "profiles", name)]).map((fields) => fields?.profiles);
    expect(edited(node("quiet"), "--remove-profile", "compute")).toEqual([["quiet", "~compute"]]);
    expect(edited(node("quiet", "~compute"), "--append-profile", "compute")).toEqual([["quiet"]]);
    // named, and reached as well
    expect(edited(node("compute", "quiet"), "--remove-profile", "compute")).toEqual([["quiet", "~compute"]]);
    expect(edited(node("compute", "quiet"), "--remove-profile", "quiet")).toEqual([["compute"]]);
    expect(edited(node("quiet"), "--append-profile", "storage")).toEqual([["quiet", "storage"]]);
  });

  it("are set whole by PATH=[...], and by += and -= word by word", () => {
    expect(fieldsAfter([record("c001", {})], [], ["overlays=[a, b]"])).toEqual([{ overlays: ["a", "b"] }]);
    expect(fieldsAfter([record("c001", {})], [], ["overlays=a"])).toEqual([{ overlays: ["a"] }]);
    expect(fieldsAfter([record("c001", { overlays: ["a"] })], [], ["overlays+=b", "overlays-=a"])).toEqual([
      { overlays: ["b"] },
    ]);
  });
});

describe("tags", () => {
  const tagged = record("c001", { tags: { rack: "1" } });

  it("are set one by one, and removed by key", () => {
    expect(fieldsAfter([tagged], [option("--tag", "tags", "row=a=b")])).toEqual([
      { tags: { rack: "1", row: "a=b" } },
    ]);
    expect(fieldsAfter([tagged], [option("--untag", "tags", "rack")])).toEqual([{}]);
    expect(fieldsAfter([tagged], [option("--untag", "tags", "row")])).toEqual([]);
    expect(fieldsAfter([tagged], [], ["tags.rack=2"])).toEqual([{ tags: { rack: "2" } }]);
    expect(fieldsAfter([tagged], [], ["tags={row: a}"])).toEqual([{ tags: { row: "a" } }]);
  });

  it("want a value", () => {
    expect(refusal(() => fieldsAfter([tagged], [option("--tag", "tags", "rack")]))).toBe(
      "argument-invalid: --tag rack has no value | write key=value; --untag KEY removes one",
    );
  });
});

describe("PATH=VALUE", () => {
  it("sets any field; resources take YAML, and what looks like a number keeps its text", () => {
    expect(
      fieldsAfter(
        [record("c001", {})],
        [],
        [
          "devices.eno1.mtu=9000",
          'devices."bond0.1".vlanId=1',
          "resources.fstab=[{spec: 'server:/home', version: 6.10}]",
        ],
      ),
    ).toEqual([
      {
        devices: { "bond0.1": { vlanId: 1 }, eno1: { mtu: 9000 } },
        resources: { fstab: [{ spec: "server:/home", version: "6.10" }] },
      },
    ]);
  });

  it.each([
    ["image", '"image" sets nothing'],
    ["devices.eno1.mtuu=1", "did you mean devices.eno1.mtu?"],
    ["mtu=1", "did you mean devices.NAME.mtu?"],
    ["image+=a", "image is no list"],
    ["devices.eno1=x", "is a group of fields"],
    ["resources.x=[a", "resources.x: "],
    ["tags.=1", "is not the path of a field"],
  ])("refuses %s", (word, what) => {
    expect(refusal(() => fieldsAfter([record("c001", {})], [], [word]))).toContain(what);
  });

  it("says everything that is wrong with it at once", () => {
    expect(
      refusal(() => fieldsAfter([record("c001", {})], [], ["devices.eno1.mtu=9", "devices.eno1.netmask=x"])),
    ).toMatch(
      /^argument-invalid: 2 of these cannot be:\n {2}devices\.eno1\.mtu: .*\n {2}devices\.eno1\.netmask: .* \| correct them; nothing was changed$/,
    );
  });
});

describe("unset", () => {
  const nodes = [
    record("c001", { image: "a", devices: { eno1: { mtu: 9000 } } }),
    record("c002", { profiles: ["compute"], image: "a" }),
  ];
  const after = (...paths: readonly string[]): readonly RecordChange[] => planUnset(nodes, paths, profiles);

  it("takes fields and whole groups away, and leaves nodes alone that have none", () => {
    expect(after("devices.eno1")).toEqual([
      { kind: "node", name: "c001", revision: 3, fields: { image: "a" } },
    ]);
    expect(after("image", "devices").map(({ fields }) => fields)).toEqual([{}, { profiles: ["compute"] }]);
  });

  it("says that nobody has it, and which profile it comes from", () => {
    expect(refusal(() => after("tags.rack"))).toBe(
      "argument-invalid: c[001-002] has no tags.rack of its own | muster node show c[001-002] has what is set",
    );
    expect(refusal(() => planUnset(nodes.slice(1), ["devices.default.mtu"], profiles))).toBe(
      "argument-invalid: c002 has no devices.default.mtu of its own: it comes from profile compute | muster profile unset compute devices.default.mtu, or muster node set c002 devices.default.mtu=VALUE",
    );
    expect(refusal(() => after("imagee"))).toContain("did you mean image?");
  });
});

it("leaves records out that stay as they are, but not new ones", () => {
  const edits = planFieldEdits({ given: [option("--image", "image", "a")], selectors: [], assignments: [] });
  expect(planFieldChanges([record("c001", { image: "a" })], edits, profiles)).toEqual([]);
  expect(planFieldChanges([record("c001", {}, 0)], [], profiles)).toEqual([
    { kind: "node", name: "c001", revision: 0, fields: {} },
  ]);
});
