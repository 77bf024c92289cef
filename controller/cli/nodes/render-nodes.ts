import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { NodeSummary, NodeView, PendingView } from "../../api/rest/schemas.ts";
import {
  printable,
  renderAge,
  renderCount,
  renderDuration,
  renderFields,
  renderSize,
  renderTable,
  renderTime,
} from "../output/render-text.ts";

/** Most urgent last: it is next to the prompt. */
const STATES = ["ready", "new", "booting", "unreachable", "failed"] as const;

/** The terminal's red, and its own colour again (ECMA-48, SGR). */
const [RED, PLAIN] = ["\u001b[31m", "\u001b[39m"];

/**
 * `muster node list`. The image is the one that runs; one that is only configured stands in brackets. The last
 * column is there when a node has an alert; with `colour` its line is red.
 */
export function renderNodeTable(nodes: readonly NodeSummary[], now: Date, colour = false): string {
  const hasAlerts = nodes.some(({ status }) => status.alert !== undefined);
  const table = renderTable(
    ["NAME", "STATE", "STAGE", "IMAGE", "BOOT(s)", "LAST SEEN", "ADDRESS", ...(hasAlerts ? ["ALERT"] : [])],
    nodes.map(({ name, status, image, address }) => [
      name,
      status.state,
      status.stage ?? (status.overlayTrouble === undefined ? "" : "overlay"),
      imageOf(status.image, status.imageVersion) ?? (image === undefined ? "" : `(${image})`),
      status.bootMs === undefined ? "" : (status.bootMs / 1000).toFixed(1),
      status.lastSeenAt === undefined ? "" : renderAge(status.lastSeenAt, now),
      status.address ?? address ?? "",
      ...(hasAlerts ? [status.alert?.kind ?? ""] : []),
    ]),
    ["BOOT(s)"],
  );
  if (!colour || !hasAlerts) return table;
  const lines = table.split("\n");
  // Below the head, a node a line.
  const isRed = (line: number): boolean => nodes[line - 1]?.status.alert !== undefined;
  return lines.map((text, line) => (isRed(line) ? `${RED}${text}${PLAIN}` : text)).join("\n");
}

/** "alert: c001: ...", a line for each node that has one. */
export function renderAlerts(nodes: readonly NodeSummary[]): readonly string[] {
  const alerted = nodes.flatMap(({ name, status }) =>
    status.alert === undefined ? [] : [{ name, what: status.alert.what }],
  );
  if (alerted.length === 0) return [];
  const names = foldNodeSet(alerted.map(({ name }) => name));
  return [
    ...alerted.map(({ name, what }) => `alert: ${name}: ${printable(what)}`),
    `when that is settled: muster node clear-alert ${names}`,
  ];
}

/** "2 ready c[001-002], 1 failed c003". */
export function renderNodeSummary(nodes: readonly NodeSummary[]): string {
  return STATES.flatMap((state) => {
    const names = nodes.filter((node) => node.status.state === state).map((node) => node.name);
    return names.length === 0 ? [] : [`${names.length} ${state} ${foldNodeSet(names)}`];
  }).join(", ");
}

/** What {@link renderNode} shows in its own way: groups of fields, and the columns of its table of devices. */
const SUMMARISED_FIELDS = new Set([
  ...["profiles", "comment", "image", "rootMode", "rootSizeBytes", "kernelArguments", "overlays"],
  ...["runtimeOverlays", "tags"],
]);
const SUMMARISED_DEVICE_FIELDS = new Set(["type", "mac", "address", "netmask", "gateway", "mtu"]);

/** Whether {@link renderNode} shows the field at this path. */
export function isSummarised(path: string): boolean {
  const [head = ""] = path.split(".");
  const last = path.slice(path.lastIndexOf(".") + 1);
  return SUMMARISED_FIELDS.has(head) || (head === "devices" && SUMMARISED_DEVICE_FIELDS.has(last));
}

/** `muster node show`, without the fields that {@link isSummarised} says are not here. */
export function renderNode(
  node: NodeView,
  now: Date,
  { profiles }: { readonly profiles?: readonly string[] } = {},
): string {
  const { status, machine } = node;
  const fields = renderFields([
    ["name", node.name],
    ["state", status.stage === undefined ? status.state : `${status.state} (${status.stage})`],
    [
      "ALERT",
      status.alert === undefined
        ? undefined
        : `${status.alert.what} (${renderAge(status.alert.at, now)}; muster node clear-alert ${node.name})`,
    ],
    ["last seen", status.lastSeenAt === undefined ? undefined : renderAge(status.lastSeenAt, now)],
    ["running", imageOf(status.image, status.imageVersion)],
    ["boot time", status.bootMs === undefined ? undefined : renderDuration(status.bootMs)],
    ["address", status.address],
    ["agent", status.agentVersion],
    ["boot id", status.bootId],
    ["profiles", profiles?.join(", ")],
    ["image", node.image ?? "(the site's)"],
    ["root", rootOf(node)],
    ["kernel arguments", node.kernelArguments.length === 0 ? undefined : node.kernelArguments.join(" ")],
    ["overlays", node.overlays.length === 0 ? undefined : node.overlays.join(", ")],
    ["overlay trouble", overlayTroubleOf(node)],
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

function overlayTroubleOf({ name, status }: NodeView): string | undefined {
  const { overlayTrouble } = status;
  return overlayTrouble === undefined ? undefined : `${overlayTrouble} (muster overlay status ${name})`;
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
