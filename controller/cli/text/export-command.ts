import { stat } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { InventoryState } from "../../inventory/changes.ts";
import { renderInventory } from "../../text/render-inventory.ts";
import { writeExportFile } from "../../text/write-export-file.ts";
import { writeInventoryDirectory } from "../../text/write-inventory-directory.ts";
import type { CliContext } from "../cli-context.ts";
import { fetchState } from "../changes/commit-changes.ts";
import { renderCount } from "../output/render-text.ts";
import { resolveTime } from "../changes/resolve-time.ts";
import { type LateProgress, showLateProgress } from "../output/show-late-progress.ts";

export interface ExportOptions {
  readonly directory?: true;
  readonly nodes?: string;
  readonly at?: string;
  readonly secrets?: true;
}

/** `muster export`: the records as written, as text. */
export async function exportText(
  context: CliContext,
  target: string | undefined,
  options: ExportOptions,
): Promise<number> {
  await using progress = showLateProgress(context);
  progress.say("asking the controller");
  const at = options.at === undefined ? undefined : resolveTime(context, options.at);
  const state = await fetchState(context, {
    ...(options.nodes === undefined ? {} : { nodes: options.nodes }),
    ...(at === undefined ? {} : { at }),
    ...(options.secrets === true ? { secrets: true } : {}),
  });
  const isDirectory = options.directory === true || (target !== undefined && (await isDirectoryAt(target)));
  if (isDirectory) return await writeDirectory(context, target, state, options, progress);
  const shown = options.nodes === undefined ? state : { nodes: state.nodes, profiles: [] };
  const text = renderInventory(shown, {
    ...(options.nodes === undefined
      ? {}
      : { part: { kind: "node", names: state.nodes.map(({ name }) => name) } }),
    ...(at === undefined ? {} : { at }),
  });
  progress.end();
  if (target === undefined || target === "-") {
    if (context.output === "json") await context.print(plainOf(shown), () => "");
    else context.process.out(text);
    return 0;
  }
  await writeExportFile(target, text, modeOf(options)).catch((cause: unknown) => {
    throw unwritable(target, cause);
  });
  context.note(`wrote ${countRecords(shown)} to ${target}`);
  return 0;
}

async function writeDirectory(
  context: CliContext,
  target: string | undefined,
  state: InventoryState,
  options: ExportOptions,
  progress: LateProgress,
): Promise<number> {
  if (target === undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: "a directory goes nowhere without a name",
      fix: "muster export --directory DIR",
    });
  }
  const { written, unchanged, removed, foreign } = await writeInventoryDirectory(target, state, {
    mode: modeOf(options),
    kinds: options.nodes === undefined ? ["profile", "node"] : ["node"],
    prune: options.nodes === undefined,
    progress: (done, all) => {
      progress.say(`wrote ${done} of ${all} files`);
    },
  }).catch((cause: unknown) => {
    throw unwritable(target, cause);
  });
  progress.end();
  for (const file of foreign)
    context.note(`left ${file}: muster did not write it, and no such record exists`);
  context.note(
    `${target}: wrote ${renderCount(written, "file")}, ${unchanged} as they were, removed ${removed}`,
  );
  return 0;
}

/** The document as data: what YAML says of it. */
function plainOf({ nodes, profiles }: InventoryState): object {
  const byName = (records: InventoryState["nodes"]): object =>
    Object.fromEntries(records.map(({ name, fields }) => [name, fields]));
  return { profiles: byName(profiles), nodes: byName(nodes) };
}

/** Passwords are for whoever exported them. */
function modeOf({ secrets }: ExportOptions): number {
  return secrets === true ? 0o600 : 0o644;
}

function countRecords({ nodes, profiles }: InventoryState): string {
  return [
    renderCount(nodes.length, "node"),
    ...(profiles.length === 0 ? [] : [renderCount(profiles.length, "profile")]),
  ].join(" and ");
}

async function isDirectoryAt(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function unwritable(target: string, cause: unknown): MusterError {
  return new MusterError({
    code: "directory-unusable",
    what: `cannot write ${target}`,
    fix: "name a place that you may write to, with room",
    cause,
  });
}
