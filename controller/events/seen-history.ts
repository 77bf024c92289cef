/**
 * When each node was last seen, kept so that a restarted musterd knows. May be lost, like all of telemetry.db; never
 * blocks or fails its caller.
 */
export interface SeenHistory {
  /** Of nodes that were seen since the last time; one transaction for all of them. */
  recordSeen(seen: ReadonlyMap<string, Date>): void;
  /** By node, those of deleted nodes included until they are as old as events get. */
  listSeen(): Promise<ReadonlyMap<string, Date>>;
}
