import type { ConfigFinding } from "../config/config-finding.ts";
import type { Fields } from "../fields/fields.ts";
import type { FieldsMerger } from "../fields/merge-fields.ts";
import { findingAt, type PlannedNode } from "./imported-node.ts";

/** What only one device of one node may have. */
const UNIQUE = ["mac", "address", "address6"] as const;

/**
 * MACs and addresses that two devices would have when everything planned is done. Nodes of the file may trade theirs: only
 * what is true afterwards counts. The finding is at the place in the file that brings the value.
 */
export function findClashes(
  planned: readonly PlannedNode[],
  others: readonly { readonly name: string; readonly fields: Fields }[],
  merger: FieldsMerger,
): readonly ConfigFinding[] {
  const owners = new Map<string, string>();
  for (const { name, fields } of others) {
    for (const { value, device } of valuesOf(fields)) owners.set(value, `${name} ${device}`);
  }
  return planned.flatMap(({ from, settings, fields }) =>
    valuesOf(merger.merge(fields)).flatMap(({ value, device, field }) => {
      const owner = owners.get(value);
      if (owner === undefined) {
        owners.set(value, `${from.name} ${device}`);
        return [];
      }
      const place = settings.find(
        ({ path }) => path[0] === "devices" && path[1] === device && path[2] === field,
      );
      const what = `${value} is that of ${owner}`;
      return [
        findingAt(
          place ?? from,
          `${from.name} devices.${device}.${field}`,
          what,
          "each belongs to one device only",
        ),
      ];
    }),
  );
}

function valuesOf({ devices }: Fields): readonly { readonly value: string; device: string; field: string }[] {
  return Object.entries(devices ?? {}).flatMap(([device, fields]) =>
    UNIQUE.flatMap((field) => {
      const value = fields[field];
      return value === undefined ? [] : [{ value, device, field }];
    }),
  );
}
