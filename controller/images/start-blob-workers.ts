import cluster, { type Worker } from "node:cluster";
import { createServer } from "node:net";

import { MusterError } from "#proto/contract/muster-error.ts";
import { planRetryDelayMs, type RetryRule } from "#proto/contract/plan-retry.ts";
import type { ConnectionLimits, LimitedAddress } from "../api/admit-connections.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type { DeniedBoot } from "../inventory/inventory.ts";
import { openDeniedBoots } from "./denied-boots.ts";

/** What a worker is told when it starts. */
export interface BlobWorkerConfig {
  readonly address: string;
  /** 0: any free port, the same for all workers. */
  readonly port: number;
  readonly certPem: string;
  readonly keyPem: string;
  /** The authority that nodes' certificates must be signed by. */
  readonly caPem: string;
  readonly ticketKey: Uint8Array;
  readonly blobRoot: string;
  /** This worker's part of the port's. */
  readonly limits: ConnectionLimits;
}

/** What a worker is told. */
export type BlobWorkerOrder =
  | { readonly kind: "serve"; readonly config: BlobWorkerConfig }
  /** Another certificate for connections made from now on. */
  | ({ readonly kind: "renew" } & Pick<BlobWorkerConfig, "certPem" | "keyPem">)
  /** These too are denied from now on. */
  | { readonly kind: "deny"; readonly boots: readonly DeniedBoot[] };

/** What a worker tells. */
export type BlobWorkerMessage =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "failed"; readonly text: string }
  | ({ readonly kind: "limited" } & LimitedAddress)
  | { readonly kind: "bug"; readonly method: string; readonly text: string };

/** The running workers. Disposing ends them. */
export interface BlobWorkers extends AsyncDisposable {
  readonly port: number;
  readonly pids: readonly number[];
  /** These boots get nothing from now on; what is on its way to them ends. */
  readonly deny: (boots: readonly DeniedBoot[]) => void;
  /** Serves connections made from now on with this certificate. */
  readonly renew: (certificate: Pick<BlobWorkerConfig, "certPem" | "keyPem">) => void;
}

const RESTART: RetryRule = { firstMs: 250, maxMs: 30_000 };
/** A worker that served this long had another reason to die than the one before. */
const STEADY_MS = 60_000;
const START_DEADLINE_MS = 20_000;
const STOP_GRACE_MS = 3000;

/**
 * Starts worker processes that share one port, and replaces those that die.
 *
 * Node.js hands connections out in turn (cluster.SCHED_RR): a node fetches over one connection, so nodes
 * spread evenly over the workers. Throws `port-in-use` when the first worker cannot listen.
 */
export async function startBlobWorkers(options: {
  /** The program of a worker: blob-worker.ts, or what it was bundled to. */
  readonly program: string;
  readonly count: number;
  readonly config: BlobWorkerConfig;
  /** The boots that are denied now; later ones are told with {@link BlobWorkers.deny}. */
  readonly denied: readonly DeniedBoot[];
  readonly onLimited: (limited: LimitedAddress) => void;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly onBug: (error: unknown, method: string) => void;
}): Promise<BlobWorkers> {
  const { program, config, telemetry } = options;
  cluster.schedulingPolicy = cluster.SCHED_RR;
  cluster.setupPrimary({ exec: program, args: [], execArgv: [], serialization: "advanced" });
  const workers = new Set<Worker>();
  const denied = openDeniedBoots(() => new Date());
  denied.deny(options.denied);
  const timers = new Set<NodeJS.Timeout>();
  let stopping = false;
  // node:cluster shares a listening socket among workers that ask for the same port, so all must know it.
  let settings = { ...config, port: config.port === 0 ? await findFreePort(config.address) : config.port };

  const start = async (failures: number): Promise<number> => {
    const startedAt = Date.now();
    const worker = cluster.fork();
    workers.add(worker);
    worker.on("message", (message: BlobWorkerMessage) => {
      if (message.kind === "bug") options.onBug(new Error(message.text), message.method);
      if (message.kind === "limited") options.onLimited({ address: message.address, port: message.port });
    });
    worker.on("error", () => undefined);
    worker.once("exit", (code: number | null, signal: string | null) => {
      workers.delete(worker);
      if (stopping) return;
      const again = Date.now() - startedAt > STEADY_MS ? 0 : failures;
      restartLater(again, code, signal);
    });
    worker.once("online", () => {
      // The whole list, also to a worker that was started again.
      tell(worker, { kind: "deny", boots: denied.list() });
      tell(worker, { kind: "serve", config: settings });
    });
    return listening(worker);
  };
  const restartLater = (failures: number, code: number | null, signal: string | null): void => {
    const delayMs = planRetryDelayMs(RESTART, failures, Math.random());
    telemetry.recordEvent({
      severity: "warning",
      kind: "blob-worker-exited",
      what: `a blob worker ended (${signal ?? `exit status ${code ?? "unknown"}`}); another starts in ${delayMs} ms`,
      ...(failures < 3
        ? {}
        : { fix: "journalctl -u musterd says why; `muster doctor` checks port and memory" }),
    });
    const timer = setTimeout(() => {
      timers.delete(timer);
      // Its exit, if it fails, is what starts the next one.
      start(failures + 1).catch(() => undefined);
    }, delayMs);
    timers.add(timer);
  };
  const stop = async (): Promise<void> => {
    stopping = true;
    for (const timer of timers) clearTimeout(timer);
    await Promise.all([...workers].map(endWorker));
  };

  try {
    const port = await start(0);
    await Promise.all(Array.from({ length: options.count - 1 }, () => start(0)));
    return {
      port,
      get pids() {
        return [...workers].flatMap(({ process: { pid } }) => (pid === undefined ? [] : [pid]));
      },
      deny: (boots) => {
        denied.deny(boots);
        for (const worker of workers) tell(worker, { kind: "deny", boots });
      },
      renew: ({ certPem, keyPem }) => {
        settings = { ...settings, certPem, keyPem };
        for (const worker of workers) tell(worker, { kind: "renew", certPem, keyPem });
      },
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function findFreePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, address, () => {
      const bound = probe.address();
      probe.close(() => {
        resolve(typeof bound === "object" && bound !== null ? bound.port : 0);
      });
    });
  });
}

function tell(worker: Worker, order: BlobWorkerOrder): void {
  // One that is ending needs to know nothing more; its exit says the rest.
  if (worker.isConnected()) worker.send(order, () => undefined);
}

function listening(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new MusterError({ code: "deadline-exceeded", what: "a blob worker did not start in time" }));
      worker.process.kill("SIGKILL");
    }, START_DEADLINE_MS);
    worker.on("message", (message: BlobWorkerMessage) => {
      if (message.kind === "bug" || message.kind === "limited") return;
      clearTimeout(timer);
      if (message.kind === "listening") resolve(message.port);
      else {
        reject(
          new MusterError({
            code: "port-in-use",
            what: `blob workers cannot serve: ${message.text}`,
            fix: "stop what has the port (ss -ltnp), or choose another for ports.blobs in muster.yaml",
          }),
        );
      }
    });
    worker.once("exit", () => {
      clearTimeout(timer);
      reject(new MusterError({ code: "command-failed", what: "a blob worker ended while it started" }));
    });
  });
}

/** Ends a worker; boots that were streaming go on at their offset with the next musterd. */
function endWorker(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    if (worker.isDead()) {
      resolve();
      return;
    }
    const timer = setTimeout(() => worker.process.kill("SIGKILL"), STOP_GRACE_MS);
    worker.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    // Without its channel a worker exits, as it does when musterd is killed.
    if (worker.process.connected) worker.process.disconnect();
  });
}
