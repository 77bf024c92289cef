import { stdin } from "node:process";
import { text as readText } from "node:stream/consumers";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { GroupList } from "../../api/rest/node-set-routes.ts";
import type { CliContext } from "../cli-context.ts";
import { renderTable } from "../output/render-text.ts";
import { resolveAnyNodes } from "./resolve-nodes.ts";

/** `muster nodeset fold`. */
export async function foldSet(context: CliContext, nodesets: readonly string[]): Promise<number> {
  const folded = foldNodeSet(await readNames(context, nodesets));
  await context.print(folded, () => (folded === "" ? "" : `${folded}\n`));
  return 0;
}

/** `muster nodeset expand`: in the order written. */
export async function expandSet(
  context: CliContext,
  nodesets: readonly string[],
  { separator }: { readonly separator: string },
): Promise<number> {
  const names = await readNames(context, nodesets);
  const between = separator.replaceAll("\\n", "\n").replaceAll("\\t", "\t");
  await context.print(names, () => (names.length === 0 ? "" : `${names.join(between)}\n`));
  return 0;
}

/** `muster nodeset count`. */
export async function countSet(context: CliContext, nodesets: readonly string[]): Promise<number> {
  const { length } = await readNames(context, nodesets);
  await context.print(length, () => `${length}\n`);
  return 0;
}

/** `muster nodeset groups`. */
export async function listGroups(context: CliContext): Promise<number> {
  const { groups } = await context.api.get<GroupList>("/node-groups");
  await context.print(groups, () =>
    renderTable(
      ["GROUP", "NODES"],
      groups.map(({ name, count }) => [`@${name}`, String(count)]),
      ["NODES"],
    ),
  );
  return 0;
}

/** Sets from the command line or standard input. A list without any name is empty here, as an empty file has none. */
async function readNames(context: CliContext, nodesets: readonly string[]): Promise<readonly NodeName[]> {
  if (nodesets.length > 0) return resolveAnyNodes(context, nodesets.join(" "));
  const input = context.process.input ?? stdin;
  if ("isTTY" in input && input.isTTY) {
    throw new MusterError({
      code: "argument-invalid",
      what: "no node set is given",
      fix: "muster nodeset fold c001 c002, or names on standard input",
    });
  }
  const text = await readText(input);
  return text.trim() === "" ? [] : resolveAnyNodes(context, text);
}
