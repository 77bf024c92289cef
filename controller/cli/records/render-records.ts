import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { ExplainedField } from "../../fields/explain-fields.ts";
import type { Json } from "../../fields/fields.ts";
import type { InventoryState } from "../../inventory/changes.ts";
import type { NodeDifference, SideValue } from "./plan-node-diff.ts";
import { renderValue } from "../changes/render-preview.ts";
import { renderCount, renderTable } from "../output/render-text.ts";

/** Longer folded lists of nodes are cut: tables are for lines of a terminal, and `-o json` has all. */
const LONGEST_FOLD = 60;
/** Up to this many values of one side are shown: each node has its own address. */
const SHOWN_VALUES = 3;

/** Field by field: what it is, who says so, and what that overrode. `own` stands for the record itself. */
export function renderExplained(explained: readonly ExplainedField[]): string {
  return renderTable(
    ["FIELD", "VALUE", "FROM", "OVERRODE"],
    explained.map(({ path, value, from, overrode }) => [
      path,
      renderValue(value),
      from,
      overrode.map((one) => `${renderValue(one.value)} (${one.from})`).join(", "),
    ]),
  );
}

/** Fields with their values, a line each. */
export function renderLeaves(leaves: readonly { readonly path: string; readonly value: Json }[]): string {
  return renderTable(
    ["FIELD", "VALUE"],
    leaves.map(({ path, value }) => [path, renderValue(value)]),
  );
}

/** `muster profile list`. `users`: the nodes that take fields from each. */
export function renderProfileTable(
  profiles: InventoryState["profiles"],
  users: ReadonlyMap<string, readonly string[]>,
): string {
  return renderTable(
    ["NAME", "PROFILES", "NODES", "USED BY", "COMMENT"],
    profiles.map(({ name, fields }) => {
      const nodes = users.get(name) ?? [];
      return [
        name,
        (fields.profiles ?? []).join(","),
        String(nodes.length),
        cut(foldNodeSet(nodes)),
        fields.comment ?? "",
      ];
    }),
    ["NODES"],
  );
}

/** "used by 64 nodes: c[001-064]" */
export function renderUsers(nodes: readonly string[]): string {
  return nodes.length === 0 ? "no node" : `${renderCount(nodes.length, "node")}: ${foldNodeSet(nodes)}`;
}

/** `muster node diff`: a column for each side; where its nodes differ among themselves, who says what. */
export function renderNodeDiff(
  differences: readonly NodeDifference[],
  titles: readonly [left: string, right: string],
): string {
  return renderTable(
    ["FIELD", cut(titles[0]), cut(titles[1])],
    differences.map(({ path, left, right }) => [path, renderSide(left), renderSide(right)]),
  );
}

function renderSide(side: readonly SideValue[]): string {
  const [only, ...more] = side;
  if (only === undefined) return "";
  if (more.length === 0) return renderSideValue(only.value);
  const shown = side
    .slice(0, SHOWN_VALUES)
    .map(({ nodes, value }) => `${renderSideValue(value)} (${cut(nodes)})`);
  const rest = side.length - shown.length;
  return `${shown.join(", ")}${rest === 0 ? "" : `, and ${rest} more (-o json has all)`}`;
}

function renderSideValue(value: Json | undefined): string {
  return value === undefined ? "-" : renderValue(value);
}

function cut(folded: string): string {
  return folded.length > LONGEST_FOLD ? `${folded.slice(0, LONGEST_FOLD)}...` : folded;
}
