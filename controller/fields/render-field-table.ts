import { FIELD_TABLE, type FieldKind, type FieldRow } from "./field-table.ts";

const EFFECTS = { none: "-", refresh: "refresh", reboot: "reboot" } as const;

/** FIELD_TABLE as the Markdown table of docs/fields.md, sections by what the fields are of. */
export function renderFieldTable(): string {
  const sections = new Map<string, FieldRow[]>();
  for (const row of FIELD_TABLE) {
    const section = sectionOf(row.path);
    sections.set(section, [...(sections.get(section) ?? []), row]);
  }
  return [...sections]
    .map(([section, rows]) => `### ${section}\n\n${HEAD}\n${rows.map(renderRow).join("\n")}\n`)
    .join("\n");
}

const HEAD = `| Field | Option | What it is | Value | A change of it | Warewulf 4 |
|---|---|---|---|---|---|`;

function sectionOf(path: string): string {
  const end = path.lastIndexOf(".");
  return end === -1 ? "Of a node or profile" : `\`${path.slice(0, end)}\``;
}

function renderRow(row: FieldRow): string {
  const marks = [
    ...(row.nodeOnly === true ? ["nodes only"] : []),
    ...(row.notInherited === true ? ["not handed on"] : []),
    ...(row.keptOnly === true ? ["kept only"] : []),
  ];
  const cells = [
    `\`${row.path}\``,
    row.flag === undefined ? "-" : `\`--${row.flag}\``,
    marks.length === 0 ? row.help : `${row.help} (${marks.join(", ")})`,
    renderKind(row.type),
    EFFECTS[row.effect],
    row.warewulf === undefined ? "-" : `\`${row.warewulf}\``,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function renderKind(type: FieldKind): string {
  switch (type.kind) {
    case "line":
      return type.most === undefined ? "text" : `text, at most ${type.most} characters`;
    case "secret":
      return "secret";
    case "name":
      return `name of ${type.of === "image" ? "an image" : `a ${type.of}`}`;
    case "path":
      return ["absolute path", ...(type.words ?? [])].join(", ");
    case "interface":
      return "interface name";
    case "boolean":
      return "true or false";
    case "integer":
      return `${type.min} to ${type.max === 2 ** 43 ? "2^43" : type.max}`;
    case "size":
      return `bytes or \`8G\`, at least ${type.min / 1024 ** 2} MiB`;
    case "word":
      return type.words.join(", ");
    case "mac":
      return "MAC";
    case "ipv4":
      return "IPv4 address";
    case "netmask":
      return "netmask, or length of the prefix";
    case "ipv6":
      return "IPv6 address";
    case "guid":
      return type.fat === true ? "UUID, or volume id of FAT" : "GUID";
    case "list":
      return `list of ${type.of === "argument" ? "words" : type.of === "line" ? "texts" : type.of === "address" ? "addresses" : `${type.of}s`}`;
    case "tags":
      return "map of texts";
    case "tree":
      return "map of anything";
  }
}
