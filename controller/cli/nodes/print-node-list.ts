import type { HardwareLine, HardwareList } from "../../api/rest/hardware-routes.ts";
import type { NodeView } from "../../api/rest/schemas.ts";
import { renderHosts } from "../../exchange/render-hosts.ts";
import { type MpiForm, renderMpiHosts } from "../../exchange/render-mpi-hosts.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { CliContext } from "../cli-context.ts";
import type { ListFormat } from "../list-format.ts";
import { printable } from "../output/render-text.ts";

/** Formats that need the names of nodes only. */
export function isOfNames(format: ListFormat): format is "nodeset" | "clustershell" | "names" {
  return format === "nodeset" || format === "clustershell" || format === "names";
}

/** `muster node list -o nodeset|clustershell|names`: one line for all, or one for each; nothing when there are none. */
export function renderNames(names: readonly string[], format: "nodeset" | "clustershell" | "names"): string {
  if (names.length === 0) return "";
  return format === "names" ? `${names.join("\n")}\n` : `${foldNodeSet(names)}\n`;
}

/** `muster node list -o hosts|mpi`: the nodes as other programs take them; nothing when there are none. */
export async function printNodeList(
  context: CliContext,
  nodes: readonly NodeView[],
  format: "hosts" | "mpi",
  options: { readonly nodeset: string | undefined; readonly mpi: MpiForm },
): Promise<void> {
  if (nodes.length === 0) return;
  const { text, notes } =
    format === "hosts"
      ? renderHosts(nodes.map(withSeenAddress))
      : renderMpiHosts(
          nodes.map(({ name }) => name),
          coresOf(await context.api.get<HardwareList>("/hardware", { names: options.nodeset })),
          options.mpi,
        );
  context.process.out(text);
  for (const note of notes) context.note(printable(note));
}

/** A node without an address in the inventory has the one it was seen at. */
function withSeenAddress(node: NodeView): Pick<NodeView, "name" | "devices"> {
  const { name, devices, status } = node;
  if (status.address === undefined || devices.some(({ address }) => address !== undefined)) {
    return { name, devices };
  }
  const [first, ...more] = devices;
  return { name, devices: [{ name: "eno1", type: "ethernet", ...first, address: status.address }, ...more] };
}

function coresOf({ hardware }: HardwareList): ReadonlyMap<string, number> {
  return new Map(
    hardware.map(({ node, sockets, coresPerSocket }: HardwareLine) => [node, sockets * coresPerSocket]),
  );
}
