import { createHash } from "node:crypto";

import { Compile } from "typebox/compile";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { parsePrintable } from "../sessions/parse-boot-report.ts";
import { HardwareSchema } from "./hardware-schema.ts";

const MAX_REPORT_BYTES = 1024 * 1024;
/** Longer than any string the schema lets through. */
const MAX_TEXT = 8192;

const SCHEMA = Compile(HardwareSchema);

/** A report that can be kept and shown. */
export interface ParsedHardware {
  /** Of the bytes the node sent. */
  readonly digest: Digest;
  readonly report: HardwareReport;
}

/**
 * Reads what a node says its machine is. The bytes must have the digest they came with, and the shape and bounds of the
 * contract; fields this release does not know (a newer agent's) are left out, and control characters in texts become
 * blanks. Throws `request-invalid`, saying what is wrong with it.
 */
export function parseHardwareReport(message: {
  readonly digest: string;
  readonly report: Uint8Array;
}): ParsedHardware {
  const { report: bytes } = message;
  if (bytes.length > MAX_REPORT_BYTES) throw invalid(`it has ${bytes.length} bytes, more than 1 MiB`);
  const digest = digestOfHex(createHash("sha256").update(bytes).digest("hex"));
  if (digest !== message.digest) throw invalid("it does not have the digest it came with");
  const report: unknown = SCHEMA.Clean(parseJson(bytes));
  if (!SCHEMA.Check(report)) {
    const [first] = SCHEMA.Errors(report);
    const at = parsePrintable(first?.instancePath ?? "", 100);
    throw invalid(`${at === "" ? "it" : at} ${parsePrintable(first?.message ?? "is not right", 200)}`);
  }
  return { digest, report: withPrintableTexts(report) };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid("it is no JSON in UTF-8");
  }
}

function withPrintableTexts<T>(value: T): T {
  if (typeof value === "string") return parsePrintable(value, MAX_TEXT) as T;
  if (Array.isArray(value)) return value.map(withPrintableTexts) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => [key, withPrintableTexts(item)]),
  ) as T;
}

function invalid(why: string): MusterError {
  return new MusterError({ code: "request-invalid", what: `hardware report refused: ${why}` });
}
