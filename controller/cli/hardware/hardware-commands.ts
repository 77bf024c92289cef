import { compareHardware, renderHardwareChange } from "#proto/contract/compare-hardware.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type {
  HardwareList,
  MissingHardware,
  ReportList,
  ReportView,
} from "../../api/rest/hardware-routes.ts";
import {
  type HardwareDifference,
  planHardwareDifferences,
} from "../../hardware/plan-hardware-differences.ts";
import { planSlurmConf, renderSlurmConf } from "../../hardware/plan-slurm-conf.ts";
import { type CliContext, EXIT_FINDINGS } from "../cli-context.ts";
import { renderHardware, renderHardwareTable, renderMissing } from "./render-hardware.ts";
import { renderCount, renderTime } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** Nodes asked for in one request; the controller takes no more. */
const NODES_AT_ONCE = 100;
/** Exit status when some of the nodes that were named could not be shown. */
const EXIT_SOME = 1;

/** `muster hardware list`. */
export async function listHardware(context: CliContext, nodeset: string | undefined): Promise<number> {
  const { hardware, missing } = await context.api.get<HardwareList>("/hardware", { names: nodeset });
  if (hardware.length > 0 || context.output !== "table") {
    await context.print(hardware, () => renderHardwareTable(hardware));
  }
  noteMissing(context, missing);
  if (hardware.length === 0 && missing.length === 0) {
    context.note("there are no nodes yet: muster node add NAME --mac MAC");
  }
  return 0;
}

/** `muster hardware show`. One node is an object in JSON, several are a list. */
export async function showHardware(context: CliContext, nodeset: string): Promise<number> {
  const { reports, missing } = await readReports(context, await resolveNodes(context, nodeset), 1);
  const isOne = reports.length + missing.length === 1;
  if (reports.length > 0 || (context.output !== "table" && !isOne)) {
    await context.print(isOne ? reports[0] : reports, () =>
      reports.map((report) => renderHardware(report, context.process.now())).join("\n"),
    );
  }
  noteMissing(context, missing);
  return missing.length === 0 ? 0 : EXIT_SOME;
}

/** `muster hardware diff`: one node against its boot before, several against each other. */
export async function diffHardware(context: CliContext, nodeset: string): Promise<number> {
  const names = await resolveNodes(context, nodeset);
  const { reports, missing } = await readReports(context, names, names.length === 1 ? 2 : 1);
  noteMissing(context, missing);
  const isDifferent =
    names.length === 1 ? await diffBoots(context, reports) : await diffNodes(context, reports);
  if (missing.length > 0) return EXIT_SOME;
  return isDifferent ? EXIT_FINDINGS : 0;
}

async function diffBoots(context: CliContext, [after, before]: readonly ReportView[]): Promise<boolean> {
  if (after === undefined) return false;
  const { node } = after;
  if (before === undefined) {
    context.note(`${node} has reported in one boot only: there is nothing to compare with`);
    return false;
  }
  const changes = compareHardware(before.report, after.report);
  const bootOf = ({ bootId, reportedAt }: ReportView) => ({ bootId, reportedAt });
  if (changes.length > 0 || context.output !== "table") {
    await context.print({ node, before: bootOf(before), after: bootOf(after), changes }, () =>
      changes.map((change) => `${node}: ${renderHardwareChange(change)}\n`).join(""),
    );
  }
  const since = `the boot before, seen last ${renderTime(before.reportedAt)}`;
  context.note(
    changes.length === 0
      ? `${node} is what it was in ${since}`
      : `${node}: ${renderCount(changes.length, "change")} since ${since}`,
  );
  return changes.length > 0;
}

async function diffNodes(context: CliContext, reports: readonly ReportView[]): Promise<boolean> {
  const differences = planHardwareDifferences(reports);
  const nodes = foldNodeSet(reports.map(({ node }) => node));
  if (differences.length > 0 || context.output !== "table") {
    await context.print({ nodes, differences }, () =>
      differences.map((difference) => renderDifference(difference)).join(""),
    );
  }
  if (differences.length === 0 && reports.length > 0) context.note(`${nodes} are of the same hardware`);
  return differences.length > 0;
}

/** "memory: 512 GiB on most (62)", and below what the others have. */
function renderDifference({ field, common, commonCount, others }: HardwareDifference): string {
  const lines = others.map(({ value, nodes }) => `  ${nodes}: ${value}\n`);
  return `${field}: ${common} (${renderCount(commonCount, "node")})\n${lines.join("")}`;
}

/** `muster hardware slurm-conf`. */
export async function printSlurmConf(
  context: CliContext,
  nodeset: string,
  options: { readonly roundMemory: string },
): Promise<number> {
  const step = readStep(options.roundMemory);
  const { reports, missing } = await readReports(context, await resolveNodes(context, nodeset), 1);
  if (reports.length > 0 || context.output !== "table") {
    const groups = planSlurmConf(reports, step);
    await context.print(groups, () => renderSlurmConf(groups));
  }
  noteMissing(context, missing);
  return missing.length === 0 ? 0 : EXIT_SOME;
}

/** All reports, in requests of a size the controller takes. */
export async function readReports(
  { api }: CliContext,
  names: readonly NodeName[],
  boots: number,
): Promise<{ readonly reports: readonly ReportView[]; readonly missing: MissingHardware }> {
  const reports: ReportView[] = [];
  const missing: MissingHardware = [];
  for (let at = 0; at < names.length; at += NODES_AT_ONCE) {
    const part = foldNodeSet(names.slice(at, at + NODES_AT_ONCE));
    const found = await api.get<ReportList>("/hardware/reports", { names: part, boots });
    reports.push(...found.reports);
    missing.push(...found.missing);
  }
  return { reports, missing };
}

export function noteMissing(context: CliContext, missing: MissingHardware): void {
  for (const line of renderMissing(missing)) context.note(line);
}

export function readStep(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new MusterError({
    code: "argument-invalid",
    what: `--round-memory ${text} is not a number of MiB`,
    fix: "for example --round-memory 1024",
  });
}
