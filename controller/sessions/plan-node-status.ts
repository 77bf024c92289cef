import type { NodeName } from "#proto/contract/node-name.ts";
import { type BootTimeline, stageOf, startOf } from "./boot-timeline.ts";
import type { Fleet, NodeState, NodeStatus } from "./fleet.ts";

type Session = Parameters<Fleet["sessionOpened"]>[1];

/** What is known of one node. */
export interface TrackedNode {
  readonly node: NodeName;
  boot: BootTimeline | undefined;
  session: Session | undefined;
  /** The boot of the open session, when another has begun since. */
  sessionBoot: BootTimeline | undefined;
  address: string | undefined;
  agentVersion: string | undefined;
  lastSeenMs: number | undefined;
  /** When it answered that it restarts; undefined once another boot began. */
  restartMs: number | undefined;
  /** Since it is unreachable, as far as this musterd saw it; whether people were told. */
  gone: { readonly sinceMs: number; readonly isTold: boolean } | undefined;
  alert: NodeStatus["alert"];
}

/**
 * What a node is doing.
 *
 * | boot      | its session is open | state       |
 * |-----------|---------------------|-------------|
 * | none      | -                   | new         |
 * | booting   | -                   | booting     |
 * | ready     | yes                 | ready       |
 * | ready     | no, it restarts     | booting     |
 * | ready     | no                  | unreachable |
 * | failed    | -                   | failed      |
 * | abandoned | -                   | failed      |
 */
export function planNodeState({ boot, session, restartMs }: TrackedNode): NodeState {
  if (boot === undefined) return "new";
  switch (boot.outcome) {
    case "booting":
      return "booting";
    case "ready":
      if (session !== undefined && session.bootId === boot.bootId) return "ready";
      return restartMs === undefined ? "unreachable" : "booting";
    case "failed":
    case "abandoned":
      return "failed";
  }
}

/** Not a stage of any boot: it has answered that it restarts. */
const RESTARTING = "restarting";

/** The live view of a node. */
export function planNodeStatus(tracked: TrackedNode): NodeStatus {
  const { node, boot, session } = tracked;
  const state = planNodeState(tracked);
  const stage =
    state === "failed"
      ? boot?.failure?.stage
      : boot?.outcome === "ready" && tracked.restartMs !== undefined
        ? RESTARTING
        : state === "booting" && boot !== undefined
          ? stageOf(boot)
          : undefined;
  const isCurrent = session !== undefined && session.bootId === boot?.bootId;
  const agentVersion = isCurrent ? session.agentVersion : tracked.agentVersion;
  return {
    node,
    state,
    ...(stage === undefined ? {} : { stage }),
    ...(boot?.bootId === undefined ? {} : { bootId: boot.bootId }),
    ...(tracked.address === undefined ? {} : { address: tracked.address }),
    ...(boot?.image === undefined ? {} : { image: boot.image }),
    ...(boot?.imageVersion === undefined ? {} : { imageVersion: boot.imageVersion }),
    ...(agentVersion === undefined ? {} : { agentVersion }),
    ...(boot?.readyMs === undefined ? {} : { bootMs: boot.readyMs - startOf(boot) }),
    ...(tracked.lastSeenMs === undefined ? {} : { lastSeenAt: new Date(tracked.lastSeenMs) }),
    ...(boot?.failure === undefined ? {} : { failure: boot.failure }),
    ...(tracked.alert === undefined ? {} : { alert: tracked.alert }),
  };
}
