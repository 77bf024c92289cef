import { FIELD_TABLE, type FieldKind } from "../fields/field-table.ts";
import type { InventoryRecord, RecordKind } from "../inventory/changes.ts";
import { renderInventory } from "./render-inventory.ts";
import type { TextFinding } from "./text-finding.ts";

/** Begins the lines that tell findings; they are taken out again when the text is read. */
const MARK = "# !! muster: ";
const MARKED = /^[ \t]*# !! muster: .*\r?\n?/gm;

/** What an editor shows: the records, what to do, and at the end every field there is. */
export function renderEditText(kind: RecordKind, records: readonly InventoryRecord[]): string {
  const state = kind === "node" ? { nodes: records, profiles: [] } : { nodes: [], profiles: records };
  const text = renderInventory(state, { part: { kind, names: records.map(({ name }) => name) } });
  const headerEnd = text.indexOf("\n") + 1;
  return `${text.slice(0, headerEnd)}#
# Save and leave to see what will be different, and to be asked. Leave without saving to change nothing.
# All fields there are stand at the end of this text. (kept) stands for a password that stays.
${text.slice(headerEnd)}
${listFields(kind)}`;
}

function listFields(kind: RecordKind): string {
  const rows = FIELD_TABLE.filter((row) => kind === "node" || row.nodeOnly !== true);
  const width = Math.max(...rows.map(({ path }) => path.length));
  return [
    "# Fields, with * for a name of your choice:\n",
    ...rows.map(({ path, help, type }) => `#   ${path.padEnd(width)}  ${describe(help, type)}\n`),
  ].join("");
}

/** The help of the option without what only options need, and what the value looks like. */
function describe(help: string, type: FieldKind): string {
  const [about = ""] = help.split(/;|, KEY=VALUE/);
  switch (type.kind) {
    case "secret":
      return "password; (kept) keeps the one that is there";
    case "word":
      return `${about}: ${type.words.join(", ")}`;
    case "boolean":
      return `${about}: true, false`;
    case "list":
      return `${about} (list)`;
    case "tags":
      return `${about} (map)`;
    default:
      return about;
  }
}

/** The text with each finding above the line it is about. */
export function markFindings(text: string, findings: readonly TextFinding[]): string {
  const lines = text.split("\n");
  const byLine = new Map<number, TextFinding[]>();
  for (const finding of findings) {
    const line = Math.min(finding.line, lines.length);
    byLine.set(line, [...(byLine.get(line) ?? []), finding]);
  }
  return lines
    .flatMap((line, at) => [
      ...(byLine.get(at + 1) ?? []).map(({ at: path, what, fix }) => {
        const indent = /^ */.exec(line)?.[0] ?? "";
        const sentence = [path === "" ? "" : `${path}: `, what, fix === undefined ? "" : `; ${fix}`].join("");
        return `${indent}${MARK}${sentence.replaceAll(/\p{Cc}/gu, "?")}`;
      }),
      line,
    ])
    .join("\n");
}

/** The text without the lines of {@link markFindings}. */
export function unmarkFindings(text: string): string {
  return text.replaceAll(MARKED, "");
}
