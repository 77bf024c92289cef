/** One line a node said. */
export interface LogLine {
  /** In order of arrival, over all nodes. */
  readonly id: number;
  /** By the node's clock. */
  readonly at: Date;
  readonly node: string;
  readonly bootId: string;
  /** "boot", "agent", "reaction", "kernel"; "muster" is what the controller says in its place. */
  readonly source: string;
  readonly text: string;
}

/** Which lines of a node. */
export interface LogQuery {
  readonly node: string;
  /** A boot id or how one begins; absent: all boots. */
  readonly boot?: string;
  readonly limit: number;
}

/**
 * What nodes said, for as long as it is kept: a diskless node forgets it when it restarts. As history it may be lost, and
 * keeping it never blocks or fails anybody.
 */
export interface LogHistory {
  recordLogs(lines: readonly Omit<LogLine, "id">[]): void;
  /** Oldest first: the first `limit` after `afterId`, or without it the last `limit` there are. */
  listLogs(query: LogQuery & { readonly afterId?: number }): Promise<readonly LogLine[]>;
  /** Called after each recording, in order, in this process. Returns the unsubscribe. */
  onLogs(listener: (lines: readonly LogLine[]) => void): () => void;
}
