/**
 * Text from elsewhere, safe to print: what machines and people told the controller may hold terminal escapes.
 * Control characters become "?"; line ends too, unless `lines` are wanted.
 */
export function printable(text: string, lines: "one" | "many" = "one"): string {
  return text.replaceAll(/\p{Cc}/gu, (character) =>
    lines === "many" && (character === "\n" || character === "\t") ? character : "?",
  );
}

/** A table for terminals and awk: one line a row, columns two blanks apart, empty cells "-". */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  alignRight: readonly string[] = [],
): string {
  const cells = [
    head,
    ...rows.map((row) => row.map((cell) => (cell === "" ? "-" : ASCII.test(cell) ? cell : printable(cell)))),
  ];
  const widths = head.map((_, column) =>
    cells.reduce((widest, row) => Math.max(widest, displayWidth(row[column] ?? "")), 0),
  );
  const isRight = head.map((name) => alignRight.includes(name));
  const lines = cells.map((row) => {
    let line = "";
    for (const [column, width] of widths.entries()) {
      const cell = row[column] ?? "";
      const blanks = " ".repeat(width - displayWidth(cell));
      line += `${column === 0 ? "" : "  "}${isRight[column] === true ? blanks + cell : cell + blanks}`;
    }
    return line.trimEnd();
  });
  return `${lines.join("\n")}\n`;
}

const ASCII = /^[ -~]*$/;
/** Two columns wide in terminals: Unicode 16 EastAsianWidth.txt, "W" and "F", in blocks. */
const WIDE =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6\u{17000}-\u{18DFF}\u{1B000}-\u{1B2FF}\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]|\p{Emoji_Presentation}/v;
let graphemes: Intl.Segmenter | undefined;

/** Columns a text takes in a terminal. */
function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  graphemes ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** "name: value" lines with their values in one column; values of several lines are indented. */
export function renderFields(
  fields: readonly (readonly [string, string | undefined])[],
  indent = "",
): string {
  const shown = fields.filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...shown.map(([name]) => name.length)) + 3;
  return shown
    .map(([name, value = ""]) => {
      const [first = "", ...more] = value.split("\n").map((line) => printable(line));
      return [
        `${indent}${`${name}:`.padEnd(width)}${first}`,
        ...more.map((line) => indent + " ".repeat(width) + line),
      ].join("\n");
    })
    .map((line) => `${line}\n`)
    .join("");
}

/** "4.2 s", "3 min 5 s", "2 h 10 min", "3 d 4 h". */
export function renderDuration(ms: number): string {
  if (ms < 0) return "0.0 s";
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return pair(seconds, 60, "min", "s");
  if (seconds < 86_400) return pair(Math.round(seconds / 60), 60, "h", "min");
  return pair(Math.round(seconds / 3600), 24, "d", "h");
}

/** How long ago, to one unit: "3 s ago", "2 h ago". */
export function renderAge(at: string, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - Date.parse(at)) / 1000));
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

/** "2026-11-20 11:48:03Z": the same on every machine, and sortable. */
export function renderTime(at: string): string {
  return at.replace("T", " ").replace(/\.\d+Z$/, "Z");
}

/** "97.3 MB" (10^6 bytes, as disks and networks count). */
export function renderSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return step === 0 ? `${bytes} B` : `${(bytes / 1000 ** step).toFixed(1)} ${units[step] ?? ""}`;
}

/** "1 node", "2 nodes". */
export function renderCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function pair(total: number, base: number, large: string, small: string): string {
  const rest = total % base;
  return `${Math.floor(total / base)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`;
}
