import { redactSecrets } from "../../fields/keep-secrets.ts";
import type { BootFailure, BootRecord, MusterEvent } from "../../events/telemetry.ts";
import type { ApiToken, Image, ImageVersion, Node, PendingMachine } from "../../inventory/inventory.ts";
import type { NodeStatus } from "../../sessions/fleet.ts";
import type {
  BootView,
  EventView,
  ImageVersionView,
  ImageView,
  NodeSummary,
  NodeView,
  PendingView,
  TokenView,
} from "./schemas.ts";

/** What the fleet knows, and what is wrong with the runtime overlay of the node, if anything. */
export type ShownStatus = NodeStatus & { readonly overlayTrouble?: string };

/** A node as the API shows it: what the inventory has, and what the fleet knows of it now. */
export function presentNode(node: Node, status: ShownStatus): NodeView {
  const { failure } = status;
  const { bmc, ...fields } = node;
  return {
    ...(fields as object as Omit<NodeView, "status" | "createdAt" | "updatedAt">),
    ...(bmc === undefined ? {} : { bmc: redactSecrets({ bmc }).bmc ?? {} }),
    createdAt: node.createdAt.toISOString(),
    updatedAt: node.updatedAt.toISOString(),
    status: { ...presentStatus(status), ...(failure === undefined ? {} : { failure: { ...failure } }) },
  };
}

function presentStatus(status: ShownStatus): NodeSummary["status"] {
  const { lastSeenAt, alert } = status;
  return {
    state: status.state,
    ...pickDefined(status, [
      "stage",
      "bootId",
      "address",
      "image",
      "imageVersion",
      "agentVersion",
      "bootMs",
      "overlayTrouble",
    ]),
    ...(lastSeenAt === undefined ? {} : { lastSeenAt: lastSeenAt.toISOString() }),
    ...(alert === undefined
      ? {}
      : { alert: { kind: alert.kind, what: alert.what, at: alert.at.toISOString() } }),
  };
}

/** The line of a node in a list. */
export function presentNodeSummary({ name, image, devices }: Node, status: ShownStatus): NodeSummary {
  const address = devices.find((device) => device.address !== undefined)?.address;
  return {
    name,
    ...(image === undefined ? {} : { image }),
    ...(address === undefined ? {} : { address }),
    status: presentStatus(status),
  };
}

/** The same without kernel logs, which are up to 64 KiB a node. */
export function presentNodeInList(node: Node, status: ShownStatus): NodeView {
  const view = presentNode(node, status);
  const { failure } = view.status;
  if (failure === undefined) return view;
  return { ...view, status: { ...view.status, failure: withoutLog(failure) } };
}

export function presentPending(machine: PendingMachine): PendingView {
  const { claimCode, bootMac, smbiosUuid, serial, vendor, product, architecture, firmware } = machine;
  const { cpus, sockets, memoryBytes, cpuModel, address } = machine;
  // Named one by one: the machine's keys are nobody's business.
  return {
    ...{ claimCode, bootMac, smbiosUuid, serial, vendor, product, architecture, firmware },
    ...{ cpus, sockets, memoryBytes, cpuModel, address },
    macs: [...machine.macs],
    firstSeenAt: machine.firstSeenAt.toISOString(),
    lastSeenAt: machine.lastSeenAt.toISOString(),
  };
}

export function presentImageVersion(version: ImageVersion): ImageVersionView {
  return { ...version, layers: [...version.layers], createdAt: version.createdAt.toISOString() };
}

export function presentImage(image: Image): ImageView {
  return {
    name: image.name,
    versions: image.versions.map(presentImageVersion),
    channels: { ...image.channels },
  };
}

export function presentBoot(boot: BootRecord): BootView {
  const { readyAt, failure, ...rest } = boot;
  return {
    ...rest,
    startedAt: boot.startedAt.toISOString(),
    stages: boot.stages.map((stage) => ({ ...stage })),
    ...(readyAt === undefined ? {} : { readyAt: readyAt.toISOString() }),
    ...(failure === undefined ? {} : { failure: { ...failure } }),
  };
}

export function presentEvent(event: MusterEvent): EventView {
  return { ...event, at: event.at.toISOString() };
}

export function presentToken(token: ApiToken): TokenView {
  const { name, createdAt, lastUsedAt } = token;
  return {
    name,
    createdAt: createdAt.toISOString(),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: lastUsedAt.toISOString() }),
  };
}

function withoutLog({ stage, code, what, fix }: Pick<BootFailure, "stage" | "code" | "what" | "fix">) {
  return { stage, code, what, fix };
}

function pickDefined<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]]),
  ) as Pick<T, K>;
}
