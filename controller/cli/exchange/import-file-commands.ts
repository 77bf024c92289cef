import { stdin } from "node:process";

import { MusterError } from "#proto/contract/muster-error.ts";

import { type ConfigFinding, renderConfigFindings } from "../../config/config-finding.ts";
import { type Ipv4Network, networkOf, readIpv4Network } from "../../config/ipv4.ts";
import { BOOT_DEVICE, type ImportedFile } from "../../exchange/imported-node.ts";
import type { CsvSeparator } from "../../exchange/parse-csv.ts";
import { type CsvColumn, parseCsvMap } from "../../exchange/plan-csv-columns.ts";
import { planCsvImport } from "../../exchange/plan-csv-import.ts";
import { planDhcpdImport } from "../../exchange/plan-dhcpd-import.ts";
import { planGendersImport } from "../../exchange/plan-genders-import.ts";
import { planHostsImport } from "../../exchange/plan-hosts-import.ts";
import { planImport } from "../../exchange/plan-import.ts";
import { readImportFile } from "../../exchange/read-import-file.ts";
import type { NameSuffixes } from "../../exchange/read-node-label.ts";
import { DEVICE_NAME } from "../../fields/parse-field-value.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, fetchState, previewAndCommit } from "../changes/commit-changes.ts";
import { printable, renderCount } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";
import { showLateProgress } from "../output/show-late-progress.ts";

/** The options of every `muster import FORMAT FILE` here. */
export interface ImportFileOptions extends CommitOptions {
  /** A node set: which nodes of the file are taken. */
  readonly match?: string;
  readonly device: string;
  readonly keep?: true;
  readonly addProfiles?: true;
}

/** Exit status of a file with findings, as of any invalid input. */
const EXIT_INVALID = 2;

/** `muster import hosts`. */
export async function importHosts(
  context: CliContext,
  file: string,
  options: ImportFileOptions & { readonly network?: string; readonly suffix?: readonly string[] },
): Promise<number> {
  const network = readNetwork(options.network);
  const suffixes = readSuffixes(options.suffix);
  if (network === undefined && options.match === undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: "which lines of the file are nodes was not said",
      fix: "name them with --match c[001-064], or their network with --network 10.77.0.0/16",
    });
  }
  return importFile(context, file, options, (text, match) =>
    planHostsImport(text, {
      suffixes,
      ...(match === undefined ? {} : { match }),
      ...(network === undefined ? {} : { network }),
    }),
  );
}

/** `muster import dhcpd`. */
export async function importDhcpd(
  context: CliContext,
  file: string,
  options: ImportFileOptions & { readonly suffix?: readonly string[] },
): Promise<number> {
  const suffixes = readSuffixes(options.suffix);
  return importFile(context, file, options, (text, match) =>
    planDhcpdImport(text, { suffixes, ...(match === undefined ? {} : { match }) }),
  );
}

/** `muster import genders`. */
export async function importGenders(
  context: CliContext,
  file: string,
  options: ImportFileOptions & { readonly profiles?: string },
): Promise<number> {
  const profiles = new Set(options.profiles?.split(",").map((name) => name.trim()));
  return importFile(context, file, options, (text, match) =>
    planGendersImport(text, { profiles, ...(match === undefined ? {} : { match }) }),
  );
}

/** `muster import csv`. */
export async function importCsv(
  context: CliContext,
  file: string,
  options: ImportFileOptions & {
    readonly map?: readonly string[];
    readonly separator?: CsvSeparator | "tab";
  },
): Promise<number> {
  const mapping = parseCsvMap(options.map ?? []);
  const separator = options.separator === "tab" ? "\t" : options.separator;
  return importFile(context, file, options, (text, match) => {
    const { columns, ...imported } = planCsvImport(text, {
      mapping,
      ...(separator === undefined ? {} : { separator }),
      ...(match === undefined ? {} : { match }),
    });
    if (columns.length > 0) context.note(renderColumns(columns));
    return imported;
  });
}

/** Reads, plans, tells what is wrong and what is left over, and commits what is right. */
async function importFile(
  context: CliContext,
  file: string,
  options: ImportFileOptions,
  read: (text: string, match: ReadonlySet<string> | undefined) => ImportedFile,
): Promise<number> {
  if (!DEVICE_NAME.test(options.device)) {
    throw invalid(`--device ${options.device} cannot be the name of a device`, "for example --device eno1");
  }
  await using progress = showLateProgress(context);
  const text = await readImportFile(file, context.process.input ?? stdin);
  const match = options.match === undefined ? undefined : new Set(await resolveNodes(context, options.match));
  const imported = read(text, match);
  progress.say("reading the inventory");
  const state = await fetchState(context);
  progress.say(`comparing ${renderCount(imported.nodes.length, "node")}`);
  const plan = planImport(imported, state, {
    device: options.device,
    keep: options.keep === true,
    addProfiles: options.addProfiles === true,
    ...(await imagesFor(context, imported)),
  });
  progress.end();
  tell(context, file, plan.leftOver);
  if (plan.leftOver.length > 0) {
    context.note(`${renderCount(plan.leftOver.length, "thing")} in ${file} not taken over, as said above`);
  }
  if (plan.findings.length > 0) {
    tell(context, file, plan.findings);
    context.note(
      `${renderCount(plan.findings.length, "thing")} to put right in ${file}; nothing was changed`,
    );
    return EXIT_INVALID;
  }
  if (imported.nodes.length === 0) {
    context.note(`${file} says nothing of nodes that could be taken over; nothing was changed`);
    return 1;
  }
  return await previewAndCommit(context, { changes: plan.changes, state }, options);
}

async function imagesFor(
  { api }: CliContext,
  { nodes }: ImportedFile,
): Promise<{ readonly images?: ReadonlySet<string> }> {
  if (!nodes.some(({ settings }) => settings.some(({ path }) => path[0] === "image"))) return {};
  const { images } = await api.get<{ readonly images: readonly { readonly name: string }[] }>("/images");
  return { images: new Set(images.map(({ name }) => name)) };
}

function tell(context: CliContext, file: string, findings: readonly ConfigFinding[]): void {
  for (const line of renderConfigFindings(file === "-" ? "standard input" : file, findings)) {
    context.note(printable(line));
  }
}

/** "Hostname is name, MAC is mac": what was made of the columns, before anything is asked. */
function renderColumns(columns: readonly CsvColumn[]): string {
  const target = ({ target: what }: CsvColumn): string =>
    what === "name" ? "name" : what.path.map((word) => (word === BOOT_DEVICE ? "*" : word)).join(".");
  return `columns: ${columns.map((column) => `${printable(column.header)} is ${target(column)}`).join(", ")}`;
}

function readNetwork(text: string | undefined): Ipv4Network | undefined {
  if (text === undefined) return undefined;
  const network = readIpv4Network(text);
  if (network !== undefined) return networkOf(network.address, network.prefix);
  throw invalid(`--network ${text} is no network`, "write ADDRESS/PREFIX: --network 10.77.0.0/16");
}

function readSuffixes(words: readonly string[] | undefined): NameSuffixes {
  return new Map(
    (words ?? []).map((word) => {
      const [, suffix, device] = /^([a-z0-9-]+)=(.+)$/.exec(word) ?? [];
      if (suffix !== undefined && device !== undefined && DEVICE_NAME.test(device)) return [suffix, device];
      throw invalid(
        `--suffix ${word} names no device`,
        "write SUFFIX=DEVICE: --suffix=-ib=ib0; the device bmc is the BMC",
      );
    }),
  );
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "argument-invalid", what, fix });
}
