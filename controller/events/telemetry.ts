/** How loud an event is: `error` needs a person, `warning` may, `info` is history. */
export type Severity = "info" | "warning" | "error";

/** Something that happened. */
export interface MusterEvent {
  readonly id: number;
  readonly at: Date;
  readonly severity: Severity;
  /** Stable word: "dnsmasq-exited", "blob-corrupt", "boot-failed", "token-refused". */
  readonly kind: string;
  readonly node?: string;
  /** One line for people: what happened. */
  readonly what: string;
  /** One line for people: what to do, when something is to be done. */
  readonly fix?: string;
}

/** One stage of a boot. Times are milliseconds since the boot record's `startedAt`. */
export interface StageRecord {
  readonly stage: string;
  readonly startedMs: number;
  /** Absent while the stage runs. */
  readonly endedMs?: number;
  readonly detail: string;
}

export type BootOutcome = "booting" | "ready" | "failed" | "abandoned";

/** One boot of one node or of a machine not yet known. */
export interface BootRecord {
  /** The kernel's boot id; before the kernel runs: "mac/<MAC>/<milliseconds>". */
  readonly bootId: string;
  readonly node?: string;
  readonly mac: string;
  readonly startedAt: Date;
  readonly image?: string;
  readonly imageVersion?: number;
  readonly outcome: BootOutcome;
  readonly stages: readonly StageRecord[];
  readonly readyAt?: Date;
  readonly failure?: BootFailure;
}

export interface BootFailure {
  readonly stage: string;
  readonly code: string;
  readonly what: string;
  readonly fix: string;
  readonly kernelLogTail: string;
}

/**
 * History that may be lost: boots and events, in a database file of their own. Nothing here ever blocks or
 * fails its caller: writes are queued (bounded; the oldest queued go first) and written in batches.
 */
export interface Telemetry extends AsyncDisposable {
  recordEvent(event: Omit<MusterEvent, "id" | "at"> & { readonly at?: Date }): void;
  /** Creates or replaces the record of `boot.bootId`. */
  recordBoot(boot: BootRecord): void;
  /** Oldest first: the first `limit` after `afterId`, or without it the last `limit` there are. */
  listEvents(query: {
    readonly node?: string;
    readonly afterId?: number;
    readonly limit: number;
  }): Promise<readonly MusterEvent[]>;
  /** Newest first. */
  listBoots(query: { readonly node?: string; readonly limit: number }): Promise<readonly BootRecord[]>;
  /** Called after each event, in order, in this process. Returns the unsubscribe. */
  onEvent(listener: (event: MusterEvent) => void): () => void;
  /** Everything queued so far is written (or given up). */
  flush(): Promise<void>;
}
