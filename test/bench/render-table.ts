/** Measures something; `say` takes a line of progress. Returns Markdown. */
export type Bench = (say: (line: string) => void) => Promise<string>;

/** The value in the middle; of an even number of values the mean of the two. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? upper;
  return (lower + upper) / 2;
}

/** Lowest and highest beside the median: "1.23 (1.20-1.31)". */
export function renderSpread(values: readonly number[], digits: number): string {
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  const middle = median(values).toFixed(digits);
  return low === high ? middle : `${middle} (${low ?? ""}-${high ?? ""})`;
}

/** A table in Markdown; the first column to the left, the others to the right. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  const rule = `|${head.map((_, index) => (index === 0 ? "---" : "--:")).join("|")}|\n`;
  return line(head) + rule + rows.map(line).join("");
}

/** Megabytes (10^6), with a digit after the point below 100. */
export function renderMegabytes(bytes: number): string {
  const megabytes = bytes / 1e6;
  return megabytes.toFixed(megabytes < 100 ? 1 : 0);
}
