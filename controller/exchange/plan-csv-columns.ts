import { closestWords } from "#proto/contract/closest-words.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import type { ConfigFinding } from "../config/config-finding.ts";
import { unsetField } from "../fields/edit-fields.ts";
import { parseFieldPath } from "../fields/field-path.ts";
import { FIELD_TABLE, type FieldRow } from "../fields/field-table.ts";
import { findField } from "../fields/field-tree.ts";
import { BOOT_DEVICE, findingAt } from "./imported-node.ts";
import type { CsvCell } from "./parse-csv.ts";

/** A column of the file and what it is in the inventory. */
export interface CsvColumn {
  readonly index: number;
  readonly header: string;
  /** "name", or the way to a field. */
  readonly target: "name" | { readonly path: readonly string[]; readonly row: FieldRow };
}

/** One word of --map. */
export interface CsvMapping {
  readonly field: string;
  readonly header: string;
}

/** What spreadsheets call things, in small letters without anything else, besides what muster calls them. */
const USUAL_HEADERS: Readonly<Record<string, readonly string[]>> = {
  name: ["hostname", "host", "node", "nodename", "fqdn"],
  mac: ["macaddress", "macaddr", "hwaddr", "hwaddress", "ethernet", "ethernetaddress", "bootmac", "pxemac"],
  address: ["ip", "ipaddress", "ipaddr", "ipv4", "ipv4address", "bootip"],
  netmask: ["subnetmask", "mask"],
  gateway: ["gw", "defaultgateway", "router"],
  "bmc.address": [
    "bmc",
    "bmcip",
    "bmcipaddress",
    "ipmi",
    "ipmiip",
    "ipmiaddress",
    "ilo",
    "iloip",
    "idrac",
    "idracip",
  ],
  comment: ["comments", "note", "notes", "description", "remark", "remarks"],
  "tags.rack": ["rack", "rackname"],
};

/** Reads "name=Hostname,mac=MAC": a comma separates where a field and "=" follow. `argument-invalid`. */
export function parseCsvMap(words: readonly string[]): readonly CsvMapping[] {
  return words
    .flatMap((word) => word.split(/,(?=[A-Za-z][A-Za-z0-9_."/:*-]*=)/))
    .map((word) => {
      const [, field, header] = /^([^=]+)=(.+)$/s.exec(word) ?? [];
      if (field !== undefined && header !== undefined) return { field: field.trim(), header: header.trim() };
      throw new MusterError({
        code: "argument-invalid",
        what: `--map ${JSON.stringify(word)} names no field and column`,
        fix: "write FIELD=COLUMN: --map name=Hostname,mac=MAC,tags.rack=Rack",
      });
    });
}

/**
 * What the columns are: what `mapping` says, and for the others what their headers usually mean. A field of `mapping` that does
 * not exist, a column that does not, two columns of one field, and no column of names are findings; columns of no field are left
 * over.
 */
export function planCsvColumns(
  header: readonly CsvCell[],
  mapping: readonly CsvMapping[],
): {
  readonly columns: readonly CsvColumn[];
  readonly findings: readonly ConfigFinding[];
  readonly leftOver: readonly ConfigFinding[];
} {
  const findings: ConfigFinding[] = [];
  const leftOver: ConfigFinding[] = [];
  const columns: CsvColumn[] = [];
  const used = new Map<string, string>();
  const take = (cell: CsvCell, index: number, target: CsvColumn["target"]): void => {
    const key = target === "name" ? "name" : target.path.join(".");
    const earlier = used.get(key);
    if (earlier === undefined) columns.push({ index, header: cell.text.trim(), target });
    else {
      findings.push(
        findingAt(cell, cell.text, `is ${key}, as column ${earlier} is`, `say which: --map ${key}=COLUMN`),
      );
    }
    used.set(key, earlier ?? cell.text.trim());
  };
  const mapped = new Set<number>();
  for (const { field, header: wanted } of mapping) {
    const index = header.findIndex(({ text }) => text.trim() === wanted);
    const cell = header[index];
    const target = readTarget(field);
    if (cell === undefined) findings.push(unknownColumn(header, wanted));
    else if (typeof target !== "string") take(cell, index, target);
    else if (target === "name") take(cell, index, target);
    else findings.push(findingAt(cell, `--map ${field}`, target));
    mapped.add(index);
  }
  const said = new Set(used.keys());
  const others = header.map((cell, index) => ({ cell, index })).filter(({ index }) => !mapped.has(index));
  for (const { cell, index } of others) {
    const target = usualTarget(cell.text);
    // What --map says of a field counts; another column that only sounds like it is left over.
    const key = target === undefined ? undefined : target === "name" ? "name" : target.path.join(".");
    const isMapped = key !== undefined && said.has(key);
    if (target !== undefined && !isMapped) take(cell, index, target);
    else if (cell.text.trim() !== "") {
      leftOver.push(
        findingAt(
          cell,
          cell.text.trim(),
          "this column is not taken",
          `--map tags.KEY=${JSON.stringify(cell.text.trim())} keeps it as a tag`,
        ),
      );
    }
  }
  if (!columns.some(({ target }) => target === "name")) {
    const [first] = header;
    findings.push(
      findingAt(
        first ?? { line: 1, column: 1 },
        "",
        "no column has the names of the nodes",
        "say which: --map name=COLUMN",
      ),
    );
  }
  return { columns, findings, leftOver };
}

function unknownColumn(header: readonly CsvCell[], wanted: string): ConfigFinding {
  const known = header.map(({ text }) => text.trim());
  const [meant] = closestWords(wanted, known);
  return findingAt(
    header[0] ?? { line: 1, column: 1 },
    `--map`,
    `there is no column ${JSON.stringify(wanted)}`,
    meant === undefined ? `the columns are ${known.join(", ")}` : `did you mean ${meant}?`,
  );
}

/** The field of a word of --map: "name", a path, or what its option is called. Any other text is what is wrong with it. */
function readTarget(field: string): Exclude<CsvColumn["target"], string> | string {
  if (field === "name") return "name";
  const row = FIELD_TABLE.find(
    ({ flag, path, type }) => flag === field && (type.kind !== "tags" || path === field),
  );
  const text = row?.path ?? field;
  try {
    const path = parseFieldPath(
      text.replace(/^devices\.\*\./, `devices."${BOOT_DEVICE}".`),
    ) as readonly string[];
    const found = findField(path);
    if (found?.node.kind !== "leaf" || path.includes("*")) return `is no field${whatFits(field)}`;
    const { kind } = found.node.row.type;
    if (kind === "tags" && found.rest.length !== 1) return "needs the name of a tag; write tags.KEY";
    if (kind !== "tags" && kind !== "tree" && found.rest.length > 0)
      return "is no field: it goes on below one value";
    return { path, row: found.node.row };
  } catch (error) {
    return errorSentence(error);
  }
}

/** "; did you mean ...?" */
function whatFits(field: string): string {
  if (field === "tag") return "; write tags.KEY";
  try {
    unsetField({}, field);
    return "; name one of the fields below it";
  } catch (error) {
    return error instanceof MusterError && error.fix !== undefined ? `; ${error.fix}` : "";
  }
}

function usualTarget(header: string): CsvColumn["target"] | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const word = plain(header);
  if (word === "") return undefined;
  const exact = Object.entries(USUAL_HEADERS).find(
    ([field, known]) => plain(field) === word || known.includes(word),
  );
  const row = FIELD_TABLE.find(
    ({ path, flag = path, type }) =>
      // An asset tag in a list is no wish that firmware be checked against it.
      path !== "assetKey" &&
      type.kind !== "tags" &&
      type.kind !== "tree" &&
      type.kind !== "secret" &&
      (plain(flag) === word || plain(path) === word),
  );
  const field = exact?.[0] ?? (isTag(header) ? header.trim() : row?.path);
  const target = field === undefined ? undefined : readTarget(field);
  if (typeof target !== "string") return target;
  return target === "name" ? target : undefined;
}

/** "tags.rack", as an export of this inventory would call it. */
function isTag(header: string): boolean {
  return /^tags\.[A-Za-z0-9_/-]+$/.test(header.trim());
}
