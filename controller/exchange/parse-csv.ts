import type { ConfigFinding } from "../config/config-finding.ts";
import { type FilePlace, findingAt } from "./imported-node.ts";

/** A cell; its place is that of its first character, a quote included. */
export interface CsvCell extends FilePlace {
  readonly text: string;
}

/** What stands between cells. */
export const CSV_SEPARATORS = [",", ";", "\t", "|"] as const;
export type CsvSeparator = (typeof CSV_SEPARATORS)[number];

/**
 * Reads RFC 4180 with any of the separators above and any line ends; lines with nothing on them are skipped. The separator
 * is the one that the first line has most of, outside of quotes. A quote within a cell that does not begin with one, text
 * behind a closing quote, and a quote that never closes are findings.
 */
export function parseCsv(
  text: string,
  separator: CsvSeparator = detectSeparator(text),
): { readonly rows: readonly (readonly CsvCell[])[]; readonly findings: readonly ConfigFinding[] } {
  const rows: CsvCell[][] = [];
  const findings: ConfigFinding[] = [];
  const plainEnd = new RegExp(`[${separator === "|" ? "\\|" : separator}\r\n]`, "g");
  let row: CsvCell[] = [];
  let line = 1;
  let lineStart = text.startsWith("\uFEFF") ? 1 : 0;
  let at = lineStart;
  for (;;) {
    const place = { line, column: at - lineStart + 1 };
    if (text[at] === '"') {
      const end = closingQuote(text, at + 1);
      if (end === undefined) {
        findings.push(
          findingAt(place, "", "this quote is never closed", 'close it with "; write a quote within as ""'),
        );
        return { rows, findings };
      }
      const inner = text.slice(at + 1, end);
      row.push({ ...place, text: inner.replaceAll('""', '"') });
      line += inner.split("\n").length - 1;
      if (inner.includes("\n")) lineStart = at + 1 + inner.lastIndexOf("\n") + 1;
      at = end + 1;
      plainEnd.lastIndex = at;
      const next = plainEnd.exec(text)?.index ?? text.length;
      if (next > at && text.slice(at, next).trim() !== "") {
        const behind = { line, column: at - lineStart + 1 };
        findings.push(
          findingAt(
            behind,
            "",
            "there is text behind the closing quote",
            'write a quote within quotes as ""',
          ),
        );
      }
      at = next;
    } else {
      plainEnd.lastIndex = at;
      const end = plainEnd.exec(text)?.index ?? text.length;
      const cell = text.slice(at, end);
      if (cell.includes('"')) {
        findings.push(findingAt(place, "", "there is a quote in a cell without quotes", 'write "a ""b"" c"'));
      }
      row.push({ ...place, text: cell });
      at = end;
    }
    if (text[at] === separator) {
      at += 1;
      continue;
    }
    if (row.length > 1 || row[0]?.text.trim() !== "") rows.push(row);
    row = [];
    if (at >= text.length) return { rows, findings };
    at += text.startsWith("\r\n", at) ? 2 : 1;
    line += 1;
    lineStart = at;
    if (at >= text.length) return { rows, findings };
  }
}

/** The separator the first line has most of; the first of the list when there is none. */
export function detectSeparator(text: string): CsvSeparator {
  const [first = ""] = text.replace(/^\uFEFF?[\r\n]*/, "").split(/[\r\n]/, 1);
  const plain = first.replaceAll(/"[^"]*"/g, "");
  const counts = CSV_SEPARATORS.map((separator) => plain.split(separator).length);
  return CSV_SEPARATORS[counts.indexOf(Math.max(...counts))] ?? ",";
}

/** Where the quote that closes is; doubled ones do not. */
function closingQuote(text: string, from: number): number | undefined {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at;
  }
  return undefined;
}
