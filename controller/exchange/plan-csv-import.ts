import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";

import type { ConfigFinding } from "../config/config-finding.ts";
import { renderFieldPath } from "../fields/field-path.ts";
import type { FieldRow } from "../fields/field-table.ts";
import type { Json } from "../fields/fields.ts";
import { validateFields } from "../fields/validate-fields.ts";
import { findingAt, type ImportedFile, type ImportedNode, type ImportedSetting } from "./imported-node.ts";
import { type CsvCell, type CsvSeparator, parseCsv } from "./parse-csv.ts";
import { type CsvColumn, type CsvMapping, planCsvColumns } from "./plan-csv-columns.ts";
import { readNodeLabel } from "./read-node-label.ts";

export interface CsvChoice {
  readonly mapping: readonly CsvMapping[];
  /** Absent: found out. */
  readonly separator?: CsvSeparator;
  /** Only these nodes; absent: all of the file. */
  readonly match?: ReadonlySet<string>;
}

/** What a table says of nodes, and which columns were taken for what. */
export interface CsvImport extends ImportedFile {
  readonly columns: readonly CsvColumn[];
}

/**
 * What a table (RFC 4180, the first line names the columns) says of nodes: a line each. Empty cells say nothing. In cells of
 * lists ";" separates, and blanks and commas do where an element cannot have them.
 */
export function planCsvImport(text: string, { mapping, separator, match }: CsvChoice): CsvImport {
  const { rows, findings: unreadable } = parseCsv(text, separator);
  const [header, ...lines] = rows;
  if (header === undefined || unreadable.length > 0) {
    const empty = findingAt({ line: 1, column: 1 }, "", "there is no line with the names of the columns");
    return { columns: [], nodes: [], leftOver: [], findings: unreadable.length > 0 ? unreadable : [empty] };
  }
  const { columns, findings: wrong, leftOver } = planCsvColumns(header, mapping);
  const findings: ConfigFinding[] = [...wrong];
  const notMatched: ConfigFinding[] = [];
  const nodes = new Map<NodeName, ImportedNode>();
  if (wrong.length > 0) return { columns, nodes: [], findings, leftOver };
  for (const cells of lines) {
    const node = readLine(cells, header.length, columns, findings);
    if (node === undefined) continue;
    const earlier = nodes.get(node.name);
    if (match?.has(node.name) === false) {
      notMatched.push(findingAt(node, node.name, "is not taken: it is not in --match"));
    } else if (earlier === undefined) nodes.set(node.name, node);
    else
      findings.push(findingAt(node, node.name, `is in line ${earlier.line} already`, "delete one of them"));
  }
  return { columns, nodes: [...nodes.values()], findings, leftOver: [...leftOver, ...notMatched] };
}

function readLine(
  cells: readonly CsvCell[],
  width: number,
  columns: readonly CsvColumn[],
  findings: ConfigFinding[],
): ImportedNode | undefined {
  const first = cells[0] ?? { line: 1, column: 1 };
  const excess = cells.slice(width).find(({ text }) => text.trim() !== "");
  if (excess !== undefined) {
    findings.push(
      findingAt(
        excess,
        excess.text,
        "stands in a column without a name",
        "put a cell with a comma in it in quotes",
      ),
    );
  }
  const nameColumn = columns.find(({ target }) => target === "name");
  const nameCell = cells[nameColumn?.index ?? 0];
  const label = readNodeLabel(nameCell?.text.trim() ?? "");
  if ("problem" in label) {
    findings.push(
      nameCell === undefined || nameCell.text.trim() === ""
        ? findingAt(nameCell ?? first, "", "this line names no node")
        : findingAt(nameCell, nameCell.text.trim(), label.problem),
    );
    return undefined;
  }
  const settings = columns.flatMap(({ index, target, header }): readonly ImportedSetting[] => {
    const cell = cells[index];
    if (target === "name" || cell === undefined || cell.text.trim() === "") return [];
    try {
      const { line, column } = cell;
      return [{ path: target.path, value: readValue(target, cell.text.trim()), line, column }];
    } catch (error) {
      if (!(error instanceof MusterError)) throw error;
      findings.push(findingAt(cell, `${label.name} ${header}`, error.message, error.fix));
      return [];
    }
  });
  return { name: label.name, line: (nameCell ?? first).line, column: (nameCell ?? first).column, settings };
}

/** The value as the inventory keeps it: "AA-BB-CC-00-11-22" is aa:bb:cc:00:11:22. `argument-invalid`. */
function readValue(target: { readonly path: readonly string[]; readonly row: FieldRow }, text: string): Json {
  const { path, row } = target;
  const given = row.type.kind === "list" ? listOf(row.type.of, text) : text;
  // Validated below a name that devices can have; which device it is comes later.
  const named = path.map((word) => (word.startsWith("(") ? "eno1" : word));
  const wrapped = named.reduceRight<Json>((below, word) => ({ [word]: below }), given);
  const { fields, findings } = validateFields("node", wrapped, "");
  const [finding] = findings;
  if (finding !== undefined) {
    const { what, fix } = finding;
    throw new MusterError({ code: "argument-invalid", what, ...(fix === undefined ? {} : { fix }) });
  }
  let value: unknown = fields;
  for (const word of named) value = (value as Readonly<Record<string, unknown>> | undefined)?.[word];
  if (value !== undefined) return value as Json;
  throw new MusterError({ code: "argument-invalid", what: `${renderFieldPath(named)} cannot be this` });
}

function listOf(of: string, text: string): readonly string[] {
  const between =
    of === "profile" || of === "overlay" || of === "address"
      ? /[\s;,]+/
      : of === "argument"
        ? /[\s;]+/
        : /\s*;\s*/;
  return text.split(between).filter((item) => item !== "");
}
