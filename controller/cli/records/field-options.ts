import { type Command, Option } from "commander";

import { FIELD_TABLE, type FieldKind, type FieldRow } from "../../fields/field-table.ts";
import type { RecordKind } from "../../inventory/changes.ts";

/** What the options after it on the command line are about; absent: not said. */
export interface Selectors {
  readonly device?: string;
  readonly disk?: string;
  readonly partition?: string;
  readonly fileSystem?: string;
}

/** What is to be done with a field: `append` and `remove` are about one word of a list or one key of tags. */
export type EditAction = "set" | "append" | "remove";

/** One option of a field, as it stood on the command line. */
export interface GivenOption {
  /** "--mtu". */
  readonly option: string;
  /** Of FIELD_TABLE: devices.*.mtu. */
  readonly path: string;
  readonly action: EditAction;
  readonly text: string;
  /** The selectors before it. */
  readonly after: Selectors;
}

/** A selector as it stood on the command line. */
interface GivenSelector {
  readonly option: string;
  readonly name: string;
}

/** The selectors of a path's `*`, in their order. */
export const SELECTORS_OF: Readonly<Record<string, readonly (keyof Selectors)[]>> = {
  devices: ["device"],
  disks: ["disk", "partition"],
  fileSystems: ["fileSystem"],
};

const SELECTOR_OPTIONS: Readonly<Record<keyof Selectors, readonly [string, string]>> = {
  device: ["--device <device>", "the network device that the options after it are about"],
  disk: ["--disk <disk>", "the disk that the options after it are about: /dev/nvme0n1"],
  partition: ["--partition <partition>", "label of its partition that the options after it are about"],
  fileSystem: [
    "--file-system <file-system>",
    "what the options after it are about: a device, or the label of a partition",
  ],
};

/** Headings of the help, by the first word of a path. */
const HEADINGS: Readonly<Record<string, string>> = {
  devices: "Network devices (default: the one it boots from, or eno1):",
  bmc: "BMC:",
  disks: "Disks (default: the only one):",
  fileSystems: "File systems (default: the only one):",
};

/** Gives a command an option for each field that a node or profile can have. Read them with {@link readGivenOptions}. */
export function addFieldOptions(command: Command, kind: RecordKind): Command {
  let after: Selectors = {};
  for (const row of FIELD_TABLE) {
    if (row.flag === undefined || (row.nodeOnly === true && kind === "profile")) continue;
    const [head = ""] = row.path.split(".");
    for (const selector of selectorsBefore(command, row)) {
      const [flags, help] = SELECTOR_OPTIONS[selector];
      const option = new Option(flags, help).helpGroup(HEADINGS[head] ?? "");
      command.addOption(
        option.argParser((name: string, before: readonly GivenSelector[] | undefined) => {
          after = withSelector(after, selector, name);
          return [...(before ?? []), { option: option.long ?? "", name }];
        }),
      );
    }
    for (const [action, option] of optionsOf(row)) {
      option.helpGroup(HEADINGS[head] ?? "Fields (an empty value unsets):");
      option.argParser((text: string, before: readonly GivenOption[] | undefined) => [
        ...(before ?? []),
        { option: option.long ?? "", path: row.path, action, text, after },
      ]);
      command.addOption(option);
    }
  }
  return command;
}

/** The options of fields among all that commander read, and the selectors, in no particular order. */
export function readGivenOptions(options: Readonly<Record<string, unknown>>): {
  readonly given: readonly GivenOption[];
  readonly selectors: readonly GivenSelector[];
} {
  const all = Object.values(options)
    .filter((value): value is readonly object[] => Array.isArray(value))
    .flat();
  return {
    given: all.filter((one): one is GivenOption => "path" in one),
    selectors: all.filter((one): one is GivenSelector => !("path" in one)),
  };
}

/** The row whose option this is: "--append-overlay" is the overlays'. */
export function rowOfOption(option: string): FieldRow | undefined {
  const word = option.replace(/^--(?:append-|remove-)?/, "");
  return FIELD_TABLE.find(({ flag }) => flag === word);
}

/** The selectors of a row that the command does not have yet. */
function selectorsBefore(command: Command, { path }: FieldRow): readonly (keyof Selectors)[] {
  const [head = "", ...words] = path.split(".");
  const count = words.filter((word) => word === "*").length;
  return (SELECTORS_OF[head] ?? [])
    .slice(0, count)
    .filter((selector) => !command.options.some((option) => option.attributeName() === selector));
}

/** A partition is one of its disk: another disk is said, and the partition is open again. */
function withSelector({ partition, ...rest }: Selectors, selector: keyof Selectors, name: string): Selectors {
  const kept = selector === "disk" || partition === undefined ? rest : { ...rest, partition };
  return { ...kept, [selector]: name };
}

function optionsOf({ flag = "", type, help }: FieldRow): readonly (readonly [EditAction, Option])[] {
  const option = new Option(`--${flag} <${placeholderOf(type, flag)}>`, help);
  // Not commander's choices(): what is refused is said by validation, all at once and with the closest word.
  if (type.kind === "word") option.argChoices = [...type.words];
  if (type.kind === "boolean") option.argChoices = ["true", "false"];
  if (type.kind === "tags") {
    const untag = new Option(`--${flag.replace(/tag$/, "untag")} <key>`, "remove a tag; again for more");
    return [
      ["append", option],
      ["remove", untag],
    ];
  }
  if (type.kind !== "list") return [["set", option]];
  const placeholder = placeholderOf(type, flag);
  return [
    ["set", option],
    ["append", new Option(`--append-${flag} <${placeholder}>`, "put one more into the list")],
    [
      "remove",
      new Option(`--remove-${flag} <${placeholder}>`, "take one out of the list, also what a profile gives"),
    ],
  ];
}

function placeholderOf(type: FieldKind, flag: string): string {
  switch (type.kind) {
    case "name":
      return type.of;
    case "list":
      return type.of === "line" ? "text" : type.of;
    case "secret":
      return "file";
    case "line":
      return "text";
    case "integer":
      return flag === "mtu" ? "bytes" : "number";
    case "boolean":
      return "true|false";
    case "tags":
      return "key=value";
    case "tree":
      return "yaml";
    case "path":
    case "interface":
    case "size":
    case "word":
    case "mac":
    case "ipv4":
    case "netmask":
    case "ipv6":
    case "guid":
      return type.kind;
  }
}
