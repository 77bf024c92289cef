import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import type { NodeList } from "../../api/rest/schemas.ts";
import {
  type ExportedNode,
  planExportedNodes,
  type RenderedExport,
} from "../../exchange/plan-exported-nodes.ts";
import { renderAnsibleHost, renderAnsibleList } from "../../exchange/render-ansible.ts";
import { renderClustershell } from "../../exchange/render-clustershell.ts";
import { renderEthers } from "../../exchange/render-ethers.ts";
import { renderGenders } from "../../exchange/render-genders.ts";
import { renderHosts } from "../../exchange/render-hosts.ts";
import { renderPartitions } from "../../exchange/render-partitions.ts";
import { planSlurmConf, renderSlurmConf } from "../../hardware/plan-slurm-conf.ts";
import type { CliContext } from "../cli-context.ts";
import { fetchState } from "../changes/commit-changes.ts";
import { noteMissing, readReports, readStep } from "../hardware/hardware-commands.ts";
import { printable } from "../output/render-text.ts";

/** The options of every `muster export FORMAT` here. */
export interface ExportFileOptions {
  /** A node set; absent: all nodes. */
  readonly nodes?: string;
}

/** Exit status when some of the nodes that were named could not be written. */
const EXIT_SOME = 1;

/** `muster export hosts`. */
export async function exportHosts(
  context: CliContext,
  options: ExportFileOptions & { readonly domain?: string },
): Promise<number> {
  const { domain } = options;
  if (domain !== undefined && !/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(domain)) {
    throw new MusterError({
      code: "argument-invalid",
      what: `--domain ${domain} is no domain`,
      fix: "for example --domain cluster.example",
    });
  }
  return write(context, renderHosts(await gatherNodes(context, options), domain));
}

/** `muster export genders`. */
export async function exportGenders(context: CliContext, options: ExportFileOptions): Promise<number> {
  return write(context, renderGenders(await gatherNodes(context, options)));
}

/** `muster export ethers`. */
export async function exportEthers(context: CliContext, options: ExportFileOptions): Promise<number> {
  return write(context, renderEthers(await gatherNodes(context, options)));
}

/** `muster export clustershell`. */
export async function exportClustershell(context: CliContext, options: ExportFileOptions): Promise<number> {
  return write(context, renderClustershell(await gatherNodes(context, options, "with states")));
}

/** `muster export ansible`: also as the program that Ansible runs with --list or --host NAME. */
export async function exportAnsible(
  context: CliContext,
  options: ExportFileOptions & { readonly host?: string; readonly list?: true },
): Promise<number> {
  if (options.host !== undefined) {
    const [node] = await gatherNodes(context, { nodes: options.host }, "with states");
    return write(context, { text: json(node === undefined ? {} : renderAnsibleHost(node)), notes: [] });
  }
  const { inventory, notes } = renderAnsibleList(await gatherNodes(context, options, "with states"));
  return write(context, { text: json(inventory), notes });
}

/** `muster export slurm`: what `muster hardware slurm-conf` prints, and partitions of profiles. */
export async function exportSlurm(
  context: CliContext,
  options: ExportFileOptions & { readonly roundMemory: string; readonly partition?: readonly string[] },
): Promise<number> {
  const step = readStep(options.roundMemory);
  const nodes = await gatherNodes(context, options);
  if (nodes.length === 0) {
    context.note("there are no nodes");
    return 0;
  }
  const names = nodes.map(({ name }) => parseNodeName(name));
  const { reports, missing } = await readReports(context, names, 1);
  const known = new Set(reports.map(({ node }) => node));
  const { text, notes } = renderPartitions(
    nodes.filter(({ name }) => known.has(name)),
    options.partition ?? [],
  );
  const conf = renderSlurmConf(planSlurmConf(reports, step), text);
  await write(context, { text: conf, notes });
  noteMissing(context, missing);
  return missing.length === 0 ? 0 : EXIT_SOME;
}

/** The nodes as other programs want to know them. States change all the time: only with them when that is wanted. */
async function gatherNodes(
  context: CliContext,
  { nodes }: ExportFileOptions,
  states?: "with states",
): Promise<readonly ExportedNode[]> {
  const [state, status] = await Promise.all([
    fetchState(context, nodes === undefined ? {} : { nodes }),
    states === undefined ? undefined : context.api.get<NodeList>("/nodes", { names: nodes }),
  ]);
  const byName =
    status === undefined ? undefined : new Map(status.nodes.map((node) => [node.name, node.status.state]));
  return planExportedNodes(state, byName);
}

async function write(context: CliContext, { text, notes }: RenderedExport): Promise<number> {
  context.process.out(text);
  for (const note of notes) context.note(printable(note));
  return 0;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
