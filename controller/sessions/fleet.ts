import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { BootFailure, StageRecord } from "../events/telemetry.ts";

/**
 * What a node is doing, as far as the controller can tell.
 * new: in the inventory, never seen. booting: between its boot script and its session being ready.
 * Also `booting`, at stage "restarting", when it was told to restart and its session is gone.
 * ready: session open and the node said so. unreachable: its session is gone and it has not booted since.
 * failed: its last boot ended in a failure and no newer boot has begun.
 * (`pending` machines are not nodes yet: see PendingMachine.)
 */
export type NodeState = "new" | "booting" | "ready" | "unreachable" | "failed";

/** Live view of one node. */
export interface NodeStatus {
  readonly node: NodeName;
  readonly state: NodeState;
  /** Stage in progress while booting; failed stage when failed. */
  readonly stage?: string;
  readonly bootId?: string;
  readonly address?: string;
  readonly image?: string;
  readonly imageVersion?: number;
  readonly agentVersion?: string;
  /** Milliseconds from the first sign of the boot (DHCP, script or kernel start) to ready. */
  readonly bootMs?: number;
  readonly lastSeenAt?: Date;
  readonly failure?: BootFailure;
  /** What people should look at. */
  readonly alert?: NodeStatusAlert;
}

/** A warning that stays with a node until it is cleared. */
export interface NodeStatusAlert {
  /** The kind of the event it began with: "impostor". */
  readonly kind: string;
  readonly what: string;
  readonly at: Date;
}

/** A stage as the agent reports it: milliseconds since its kernel started. */
export interface AgentStages {
  readonly bootId: string;
  /** The node's milliseconds since kernel start at the moment of sending. */
  readonly uptimeMs: number;
  readonly stages: readonly StageRecord[];
}

/**
 * Liveness and boots of all nodes, in memory; every boot is also recorded in telemetry as it goes on.
 * Each method is cheap, synchronous and never throws: it is called from request handlers.
 */
export interface Fleet {
  /** dnsmasq answered this MAC. */
  dhcpSeen(mac: MacAddress, at: Date): void;
  /** iPXE got its script: a boot begins. `node` is absent for a machine nobody knows. */
  scriptServed(
    client: { readonly mac: MacAddress; readonly address: string; readonly node?: NodeName },
    at: Date,
  ): void;
  /** The script that was served last for a node that has a session went to somebody else: the node answers. */
  scriptDisowned(node: NodeName, at: Date): void;
  /** The node has an alert, or has none any more. */
  alerted(node: NodeName, alert: NodeStatusAlert | undefined): void;
  /** iPXE at this address was sent a kernel or an initramfs. */
  artifactServed(address: string, name: string, sizeBytes: number, startedAt: Date, endedAt: Date): void;
  /** The machine waits for approval. */
  pendingSeen(boot: AgentStages & { readonly mac: MacAddress; readonly address: string }, at: Date): void;
  enrolled(
    boot: AgentStages & { readonly mac: MacAddress; readonly address: string; readonly node: NodeName },
    at: Date,
  ): void;
  planServed(node: NodeName, bootId: string, image: string, version: number): void;
  stagesReported(node: NodeName, boot: AgentStages, at: Date): void;
  failureReported(node: NodeName, boot: AgentStages, failure: BootFailure, at: Date): void;
  sessionOpened(
    node: NodeName,
    session: {
      readonly bootId: string;
      readonly address: string;
      readonly agentVersion: string;
      readonly image: string;
      readonly imageVersion: number;
    },
    at: Date,
  ): void;
  heartbeat(node: NodeName, bootId: string, at: Date): void;
  sessionReady(node: NodeName, boot: AgentStages, at: Date): void;
  sessionClosed(node: NodeName, bootId: string, at: Date): void;
  /** The node answered that it restarts: its session ends any moment, and that is no trouble. */
  restartAnswered(node: NodeName, at: Date): void;
  /** The node was deleted. */
  forget(node: NodeName): void;
  statusOf(node: NodeName): NodeStatus;
  /** Called after each change of any status. Returns the unsubscribe. */
  onChange(listener: (status: NodeStatus) => void): () => void;
}
