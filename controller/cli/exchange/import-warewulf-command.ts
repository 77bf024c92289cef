import { stdin } from "node:process";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { OverlayView } from "../../api/rest/overlay-routes.ts";
import type { ImageView } from "../../api/rest/schemas.ts";
import { renderConfigFindings } from "../../config/config-finding.ts";
import { readImportFile } from "../../exchange/read-import-file.ts";
import type { FormatVersion } from "../../exchange/warewulf/parse-nodes-conf.ts";
import { planImportWarewulf, type WarewulfImport } from "../../exchange/warewulf/plan-import-warewulf.ts";
import { planSiteConfig, type SiteConfigPlan } from "../../exchange/warewulf/plan-site-config.ts";
import { groupImportItems, renderImportItems } from "../../exchange/warewulf/render-import-items.ts";
import type { InventoryState, RecordChange } from "../../inventory/changes.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, fetchState, previewAndCommit } from "../changes/commit-changes.ts";
import { printable, renderCount } from "../output/render-text.ts";
import { showLateProgress } from "../output/show-late-progress.ts";

export interface ImportWarewulfOptions extends CommitOptions {
  readonly conf?: string;
  readonly formatVersion?: FormatVersion;
}

/** Exit status of a file with findings, as of any invalid input. */
const EXIT_INVALID = 2;

/** Some 3000 nodes: longer texts take more than a second, in which nothing else can be shown. */
const LONG_TEXT = 1_500_000;

/**
 * `muster import warewulf`: tells first what of the file does not come along, then what the rest would change, and asks.
 * Importing the same file again changes only what could not be carried over before, or was changed here meanwhile.
 */
export async function importWarewulf(
  context: CliContext,
  file: string,
  options: ImportWarewulfOptions,
): Promise<number> {
  if (file === "-" && options.conf === "-") {
    throw new MusterError({
      code: "argument-invalid",
      what: "both files are to be read from standard input",
      fix: "give one of them by its name",
    });
  }
  await using progress = showLateProgress(context);
  progress.say(`reading ${file}`);
  const input = context.process.input ?? stdin;
  const text = await readImportFile(file, input);
  const site =
    options.conf === undefined ? undefined : planSiteConfig(await readImportFile(options.conf, input));
  progress.say("asking the controller");
  const [images, overlays] = await Promise.all([
    context.api.get<{ readonly images: readonly ImageView[] }>("/images"),
    context.api.get<{ readonly overlays: readonly OverlayView[] }>("/overlays"),
  ]);
  const known = { images: namesOf(images.images), overlays: namesOf(overlays.overlays) };
  if (text.length > LONG_TEXT && context.process.errIsTerminal) context.note(`reading ${file} ...`);
  const imported = planImportWarewulf(text, known, options.formatVersion);
  // With secrets, or a password that is the same would look like another one.
  const state = await fetchState(context, { secrets: true });
  progress.end();
  if (site !== undefined) tellSite(context, options.conf ?? "", site);
  const report = reportOf(imported, site);
  tellItems(context, file, report);
  if (imported.findings.length + (site?.findings.length ?? 0) > 0) {
    return await refuse(context, file, imported, options.conf ?? "", site, report);
  }
  const status = await previewAndCommit(
    context,
    { changes: changesOf(imported, state), state, also: { import: report } },
    options,
  );
  if (status === 0) context.note(summaryOf(file, report));
  return status;
}

interface ImportReport {
  readonly format: FormatVersion;
  readonly nodes: number;
  readonly profiles: number;
  /** Not in the inventory. */
  readonly left: ReturnType<typeof groupImportItems>;
  /** In the inventory in another form. */
  readonly changed: ReturnType<typeof groupImportItems>;
  readonly site?: Pick<SiteConfigPlan, "musterYaml"> & { readonly left: ReturnType<typeof groupImportItems> };
}

function reportOf(
  { version, records, items }: WarewulfImport,
  site: SiteConfigPlan | undefined,
): ImportReport {
  const groups = groupImportItems(items);
  return {
    format: version,
    nodes: records.filter(({ kind }) => kind === "node").length,
    profiles: records.filter(({ kind }) => kind === "profile").length,
    left: groups.filter(({ outcome }) => outcome === "left"),
    changed: groups.filter(({ outcome }) => outcome === "changed"),
    ...(site === undefined
      ? {}
      : { site: { musterYaml: site.musterYaml, left: groupImportItems(site.items) } }),
  };
}

function changesOf({ records }: WarewulfImport, state: InventoryState): readonly RecordChange[] {
  const revisions = new Map(
    [...state.profiles, ...state.nodes].map(({ kind, name, revision }) => [`${kind} ${name}`, revision]),
  );
  return records.map(({ kind, name, fields }) => ({
    kind,
    name,
    revision: revisions.get(`${kind} ${name}`) ?? 0,
    fields,
  }));
}

function tellItems(context: CliContext, file: string, { left, changed, format }: ImportReport): void {
  const shown = file === "-" ? "standard input" : file;
  context.note(`${shown} is read as a file of Warewulf ${format}`);
  if (changed.length > 0) context.note("carried over in another form:");
  for (const line of renderImportItems(shown, changed)) context.note(printable(line));
  if (left.length > 0) context.note("not carried over:");
  for (const line of renderImportItems(shown, left)) context.note(printable(line));
}

/** muster.yaml goes to standard output, where it can be kept; with `-o json` it is in the report. */
function tellSite(context: CliContext, file: string, site: SiteConfigPlan): void {
  if (context.output === "table") context.process.out(site.musterYaml);
  const groups = groupImportItems(site.items);
  if (groups.length > 0) context.note(`not in muster.yaml of what ${file} says:`);
  for (const line of renderImportItems(file, groups)) context.note(printable(line));
}

async function refuse(
  context: CliContext,
  file: string,
  { findings }: WarewulfImport,
  confFile: string,
  site: SiteConfigPlan | undefined,
  report: ImportReport,
): Promise<number> {
  const siteFindings = site?.findings ?? [];
  if (context.output !== "table") {
    await context.print({ findings: [...siteFindings, ...findings], import: report }, () => "");
  }
  const lines = [...renderConfigFindings(confFile, siteFindings), ...renderConfigFindings(file, findings)];
  for (const line of lines) context.note(printable(line));
  context.note(`${renderCount(lines.length, "thing")} to put right; nothing was changed`);
  return EXIT_INVALID;
}

function summaryOf(file: string, { nodes, profiles, left, changed }: ImportReport): string {
  const places = left.reduce((sum, group) => sum + group.places.length, 0);
  const rest = [
    ...(changed.length === 0 ? [] : [`${renderCount(changed.length, "thing")} carried over in another form`]),
    ...(left.length === 0
      ? []
      : [
          `${renderCount(left.length, "thing")} not carried over${places > left.length ? ` (in ${places} places)` : ""}`,
        ]),
  ];
  const counts = `${renderCount(nodes, "node")} and ${renderCount(profiles, "profile")}`;
  return `${file}: ${counts}${rest.length === 0 ? ", with everything they say" : `; ${rest.join(", ")}, as listed above`}`;
}

function namesOf(list: readonly { readonly name: string }[]): ReadonlySet<string> {
  return new Set(list.map(({ name }) => name));
}
