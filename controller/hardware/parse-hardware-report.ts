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

const PLAIN = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;

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
  makeTextsPrintable(report);
  return { digest, report };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid("it is no JSON in UTF-8");
  }
}

/** Changes the value in place: it was just parsed, and nobody else has it. */
function makeTextsPrintable(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    const field = fields[key];
    if (typeof field !== "string") makeTextsPrintable(field);
    // Nearly all are plain ASCII, and there are two thousand of them in the report of a large machine.
    else if (!PLAIN.test(field)) fields[key] = parsePrintable(field, MAX_TEXT);
  }
}

function invalid(why: string): MusterError {
  return new MusterError({ code: "request-invalid", what: `hardware report refused: ${why}` });
}
