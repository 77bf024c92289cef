import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { RecordKind } from "../inventory/changes.ts";
import { checkText, MAX_TEXT_BYTES, TOO_LONG_FIX, tooLong } from "./check-text.ts";
import { type ParsedText, parseInventory, type RecordName } from "./parse-inventory.ts";

/** Directories of the directory form, and whose files they hold. */
export const RECORD_DIRECTORIES = { profiles: "profile", nodes: "node" } as const satisfies Record<
  string,
  RecordKind
>;
const AT_ONCE = 32;

/** What reading needs from its process. */
export interface TextSource {
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Told now and then how many of how many files were read. */
  readonly progress?: (done: number, all: number) => void;
}

/**
 * Reads a file, a directory with `nodes/NAME.yaml` and `profiles/NAME.yaml`, or standard input ("-"). What is wrong with a text is in
 * its findings; `argument-invalid` when there is nothing to read.
 */
export async function readInventoryTexts(path: string, source: TextSource): Promise<readonly ParsedText[]> {
  if (path === "-") return [parsed("-", await readInput(source.input))];
  const about = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  return about.isDirectory() ? readDirectory(path, source) : [await readText(path)];
}

async function readDirectory(path: string, { progress }: TextSource): Promise<readonly ParsedText[]> {
  const files: { readonly path: string; readonly of: RecordName }[] = [];
  const empty: ParsedText[] = [];
  for (const [directory, kind] of Object.entries(RECORD_DIRECTORIES)) {
    const names = await readdir(join(path, directory)).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return undefined;
      throw unreadable(join(path, directory), error);
    });
    if (names === undefined) continue;
    // A directory without files says that there are none of the kind, as `nodes: {}` does.
    empty.push(nothingOf(join(path, directory), kind));
    for (const name of names.sort()) {
      // what editors and git leave beside files is nobody's record
      if (/\.yml$/.test(name)) throw misnamed(join(path, directory, name));
      if (!name.endsWith(".yaml") || name.startsWith(".")) continue;
      files.push({ path: join(path, directory, name), of: { kind, name: name.slice(0, -".yaml".length) } });
    }
  }
  if (empty.length === 0) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${path} has neither nodes/ nor profiles/ in it`,
      fix: `write such a directory with: muster export --directory ${path}`,
    });
  }
  const texts: ParsedText[] = [...empty];
  for (let at = 0; at < files.length; at += AT_ONCE) {
    texts.push(
      ...(await Promise.all(files.slice(at, at + AT_ONCE).map((file) => readText(file.path, file.of)))),
    );
    progress?.(texts.length - empty.length, files.length);
  }
  return texts;
}

async function readText(path: string, of?: RecordName): Promise<ParsedText> {
  try {
    const about = await stat(path);
    if (about.size > MAX_TEXT_BYTES) return refused(path, tooLong(about.size), TOO_LONG_FIX);
    // a pipe or a device does not say how much is to come
    const bytes = about.isFile() ? readFile(path) : readInput(createReadStream(path));
    return parsed(path, await bytes, of);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Stops at the limit: what comes down a pipe may never end. */
async function readInput(input: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_TEXT_BYTES) break;
  }
  return Buffer.concat(chunks);
}

function parsed(file: string, bytes: Uint8Array, of?: RecordName): ParsedText {
  const checked = checkText(file, bytes);
  if ("text" in checked) return parseInventory(file, checked.text, of);
  return { ...refused(file, "", ""), findings: checked.findings };
}

function refused(file: string, what: string, fix: string): ParsedText {
  const findings = [{ file, line: 1, column: 1, at: "", what, fix }];
  return { file, records: [], kinds: new Set(), part: undefined, findings, locate: () => [] };
}

function nothingOf(file: string, kind: RecordKind): ParsedText {
  return { file, records: [], kinds: new Set([kind]), part: undefined, findings: [], locate: () => [] };
}

function misnamed(path: string): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `${path} is not called NAME.yaml`,
    fix: `mv ${path} ${path.replace(/\.yml$/, ".yaml")}`,
  });
}

function unreadable(path: string, cause: unknown): MusterError {
  const code = codeOf(cause);
  return new MusterError({
    code: "argument-invalid",
    what: code === "ENOENT" ? `there is no ${path}` : `cannot read ${path}`,
    fix: "name a file, a directory, or - for standard input",
    cause: code === "ENOENT" ? undefined : cause,
  });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
