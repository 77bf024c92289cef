import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { NodeView, PendingView } from "../api/rest/schemas.ts";
import {
  renderAge,
  renderCount,
  renderDuration,
  renderFields,
  renderSize,
  renderTable,
  renderTime,
} from "./render-text.ts";

/** Most urgent last: it is next to the prompt. */
const STATES = ["ready", "new", "booting", "unreachable", "failed"] as const;

/** `muster node list`. The image is the one that runs; one that is only configured stands in brackets. */
export function renderNodeTable(nodes: readonly NodeView[], now: Date): string {
  return renderTable(
    ["NAME", "STATE", "STAGE", "IMAGE", "BOOT(s)", "LAST SEEN", "ADDRESS"],
    nodes.map(({ name, status, image, devices }) => [
      name,
      status.state,
      status.stage ?? "",
      imageOf(status.image, status.imageVersion) ?? (image === undefined ? "" : `(${image})`),
      status.bootMs === undefined ? "" : (status.bootMs / 1000).toFixed(1),
      status.lastSeenAt === undefined ? "" : renderAge(status.lastSeenAt, now),
      status.address ?? devices.find((device) => device.address !== undefined)?.address ?? "",
    ]),
    ["BOOT(s)"],
  );
}

/** "2 ready c[001-002], 1 failed c003". */
export function renderNodeSummary(nodes: readonly NodeView[]): string {
  return STATES.flatMap((state) => {
    const names = nodes.filter((node) => node.status.state === state).map((node) => node.name);
    return names.length === 0 ? [] : [`${names.length} ${state} ${foldNodeSet(names)}`];
  }).join(", ");
}

/** `muster node show`. */
export function renderNode(node: NodeView, now: Date): string {
  const { status, machine } = node;
  const fields = renderFields([
    ["name", node.name],
    ["state", status.stage === undefined ? status.state : `${status.state} (${status.stage})`],
    ["last seen", status.lastSeenAt === undefined ? undefined : renderAge(status.lastSeenAt, now)],
    ["running", imageOf(status.image, status.imageVersion)],
    ["boot time", status.bootMs === undefined ? undefined : renderDuration(status.bootMs)],
    ["address", status.address],
    ["agent", status.agentVersion],
    ["boot id", status.bootId],
    ["image", node.image ?? "(the site's)"],
    ["root", rootOf(node)],
    ["kernel arguments", node.kernelArguments.length === 0 ? undefined : node.kernelArguments.join(" ")],
    ["overlays", node.overlays.length === 0 ? undefined : node.overlays.join(", ")],
    ["runtime overlays", node.runtimeOverlays.length === 0 ? undefined : node.runtimeOverlays.join(", ")],
    ["tags", tagsOf(node.tags)],
    ["comment", node.comment],
    ["serial", machine.serial],
    ["SMBIOS UUID", machine.smbiosUuid],
    ["added", renderTime(node.createdAt)],
    ["changed", `${renderTime(node.updatedAt)} (revision ${node.revision})`],
  ]);
  const devices = renderTable(
    ["DEVICE", "TYPE", "MAC", "ADDRESS", "NETMASK", "GATEWAY", "MTU"],
    node.devices.map((device) => [
      device.name,
      device.type,
      device.mac ?? "",
      device.address ?? "",
      device.netmask ?? "",
      device.gateway ?? "",
      device.mtu === undefined ? "" : String(device.mtu),
    ]),
  );
  const failure =
    status.failure === undefined
      ? ""
      : `\n${renderFields([
          [`failed in ${status.failure.stage}`, status.failure.what],
          ["what to do", status.failure.fix],
          ["more", `muster node boots ${node.name} --kernel-log`],
        ])}`;
  return `${fields}${node.devices.length === 0 ? "" : `\n${devices}`}${failure}`;
}

/** `muster node pending`. */
export function renderPendingTable(pending: readonly PendingView[], now: Date): string {
  return renderTable(
    ["CODE", "MAC", "ADDRESS", "SERIAL", "MACHINE", "CPUS", "MEMORY", "WAITING SINCE"],
    pending.map((machine) => [
      machine.claimCode,
      machine.bootMac,
      machine.address,
      machine.serial,
      [machine.vendor, machine.product].filter((part) => part !== "").join(" "),
      `${machine.cpus} (${renderCount(machine.sockets, "socket")})`,
      renderSize(machine.memoryBytes),
      renderAge(machine.firstSeenAt, now),
    ]),
  );
}

/** "debian12 v3". */
export function imageOf(image: string | undefined, version: number | undefined): string | undefined {
  if (image === undefined || image === "") return undefined;
  return version === undefined || version === 0 ? image : `${image} v${version}`;
}

function rootOf(node: NodeView): string {
  const size = node.rootSizeBytes === undefined ? "half of memory" : renderSize(node.rootSizeBytes);
  return `${node.rootMode ?? "squashfs"}, at most ${size} writable`;
}

function tagsOf(tags: Readonly<Record<string, string>>): string | undefined {
  const words = Object.entries(tags)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([key, value]) => `${key}=${value}`);
  return words.length === 0 ? undefined : words.join(" ");
}
