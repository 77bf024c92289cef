import type { TextFinding } from "./text-finding.ts";

/**
 * No text may be longer. A change takes at most 50,000 records (ChangeRequest), and a record with everything in it takes about
 * 600 bytes; the largest site in sight, 10,000 nodes, has 5 MiB. What is longer is something else, and reading it would take
 * minutes and gigabytes.
 */
export const MAX_TEXT_BYTES = 32 * 1024 * 1024;

/** What YAML calls no character (YAML 1.2, 5.1), and one half of a surrogate pair. Tabs and line ends are none of it. */
const CONTROL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const MOST_SHOWN = 20;

/** A file's bytes as text, or what keeps it from being one. A byte order mark goes. */
export function checkText(
  file: string,
  bytes: Uint8Array,
): { readonly text: string } | { readonly findings: readonly TextFinding[] } {
  const whole = (what: string, fix: string): { readonly findings: readonly TextFinding[] } => ({
    findings: [{ file, line: 1, column: 1, at: "", what, fix }],
  });
  if (bytes.length > MAX_TEXT_BYTES) return whole(tooLong(bytes.length), TOO_LONG_FIX);
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    return whole("is UTF-16", "save it as UTF-8");
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return whole("is not UTF-8 text", "save it as UTF-8; a compressed file must be unpacked first");
  }
  const findings: TextFinding[] = [];
  for (const { index, 0: character } of text.matchAll(CONTROL)) {
    if (findings.length >= MOST_SHOWN) break;
    const before = text.slice(0, index);
    findings.push({
      file,
      line: before.split("\n").length,
      column: index - before.lastIndexOf("\n"),
      at: "",
      what: `here is the control character U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
      fix: "take it out, or write it as an escape in double quotes",
    });
  }
  return findings.length > 0 ? { findings } : { text };
}

/** Also for files whose size is known before they are read. */
export function tooLong(bytes: number): string {
  return `has ${(bytes / 1024 / 1024).toFixed(0)} MiB, and nothing above ${MAX_TEXT_BYTES / 1024 / 1024} MiB is read`;
}

export const TOO_LONG_FIX = "an inventory of 50,000 nodes is smaller; cut it into several files if it is one";
