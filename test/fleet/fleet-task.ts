import { parseMacAddress } from "#proto/contract/mac-address.ts";

/** What a process of the fleet is told, as JSON in its first argument. Runs inside the lab's network. */
export interface FleetTask {
  /** "http://10.77.0.1:9880". */
  readonly bootUrl: string;
  /** The roots of its nodes are made here; in memory, as /run of a node is. */
  readonly directory: string;
  readonly first: number;
  readonly last: number;
  /** How many boot at a time. */
  readonly atOnce: number;
  /** False: they boot and that is all; what a boot leaves is in `directory`. */
  readonly sessions: boolean;
}

/** What a process of the fleet says of its nodes, one JSON object a line, whenever it changed. */
export interface FleetReport {
  /** Have a certificate. */
  readonly enrolled: number;
  /** Sessions open now, and greeted since the start. */
  readonly sessions: number;
  readonly welcomes: number;
  /** Hardware reports sent. */
  readonly hardware: number;
  /** Nodes by the runtime overlay they have applied as a whole: digests of manifests. */
  readonly overlays: Readonly<Record<string, number>>;
  /** Runtime overlays sent to nodes that had not asked. */
  readonly updates: number;
  /** Boots that failed and are tried again. */
  readonly failures: number;
  /** The last failure, and what an agent logged last. */
  readonly trouble: string;
  /**
   * Milliseconds since 1970 of the first and last enrolment, the last welcome, the last overlay sent to a node that
   * had not asked, and the last one applied.
   */
  readonly firstEnrolledAtMs: number;
  readonly lastEnrolledAtMs: number;
  readonly lastWelcomeAtMs: number;
  readonly lastUpdateAtMs: number;
  readonly lastAppliedAtMs: number;
}

/** A node of the fleet, by its number from 1: everything about it follows from that. */
export function fleetNode(index: number): {
  readonly name: string;
  readonly mac: string;
  readonly address: string;
} {
  const [high, middle, low] = [index >> 16, (index >> 8) & 255, index & 255];
  const hex = [high, middle, low].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  return {
    name: `f${String(index).padStart(5, "0")}`,
    mac: parseMacAddress(`52:54:01:${hex}`),
    // Inside FLEET_NETWORK, with no .0 or .255 left out: no router ever sees them.
    address: `10.${128 + high}.${middle}.${low}`,
  };
}

/** Every address of it is the lab's own: `ip route add local`. */
export const FLEET_NETWORK = "10.128.0.0/9";
