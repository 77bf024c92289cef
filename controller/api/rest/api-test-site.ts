import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Finding } from "../../doctor/plan-diagnosis.ts";
import type { LogHistory } from "../../events/log-history.ts";
import type { BootRecord, MusterEvent, Telemetry } from "../../events/telemetry.ts";
import { type CertificateAuthority, openCertificateAuthority } from "../../identity/certificate-authority.ts";
import { openBlobStore } from "../../images/open-blob-store.ts";
import { openHooks } from "../../hooks/open-hooks.ts";
import type { PendingMachine } from "../../inventory/inventory.ts";
import { openTelemetry } from "../../inventory/open-telemetry.ts";
import { openInventory } from "../../inventory/open-inventory.ts";
import type { OverlayTrouble } from "../../overlays/open-overlay-library.ts";
import type { NodeOverlay } from "../../overlays/serve-runtime-overlays.ts";
import type { Fleet, NodeStatus } from "../../sessions/fleet.ts";
import { type DirectiveAction, type Directives, openDirectives } from "../../sessions/open-directives.ts";
import type { ApiDependencies } from "./api-dependencies.ts";

/** A controller for tests: real inventory and blob store in a temporary directory, everything else in memory. */
export interface TestSite extends AsyncDisposable {
  readonly deps: ApiDependencies;
  readonly directory: string;
  readonly authority: CertificateAuthority;
  /** What the fleet knows, by node. */
  readonly statuses: Map<string, NodeStatus>;
  /** How nodes stand to their runtime overlays, by node. */
  readonly overlays: Map<string, NodeOverlay>;
  readonly overlayTroubles: OverlayTrouble[];
  readonly boots: BootRecord[];
  readonly findings: Finding[];
  readonly logs: LogHistory;
  /** Records an event and tells its listeners. */
  happen(event: Omit<MusterEvent, "id" | "at">): void;
  /** Puts a machine into the list of those waiting. */
  wait(claimCode: string, mac: string): Promise<PendingMachine>;
  /** Nodes that answered that they restart. */
  readonly restarted: string[];
  /** What each node answers to a directive; a node without an entry has no session. */
  readonly answers: Map<string, (action: DirectiveAction) => Promise<readonly string[]>>;
}

export const TEST_NOW = new Date("2026-11-20T12:00:00.000Z");

/** `now` is what the inventory has for a clock. */
export async function openTestSite(now: () => Date = () => TEST_NOW): Promise<TestSite> {
  const directory = await mkdtemp(join(tmpdir(), "muster-api-"));
  const inventory = await openInventory({ path: join(directory, "inventory.sqlite"), now });
  const blobs = await openBlobStore({ directory: join(directory, "blobs") });
  const authority = await openCertificateAuthority(join(directory, "authority"), () => new Date());
  const statuses = new Map<string, NodeStatus>();
  const overlays = new Map<string, NodeOverlay>();
  const overlayTroubles: OverlayTrouble[] = [];
  const boots: BootRecord[] = [];
  const events: MusterEvent[] = [];
  const findings: Finding[] = [];
  const restarted: string[] = [];
  const answers: TestSite["answers"] = new Map();
  const nobody = openDirectives();
  const directives: Pick<Directives, "send"> = {
    send: async (node, action, options) => answers.get(node)?.(action) ?? nobody.send(node, action, options),
  };
  const listeners = new Set<(event: MusterEvent) => void>();
  const happen = (event: Omit<MusterEvent, "id" | "at">): void => {
    const recorded = { ...event, id: events.length + 1, at: TEST_NOW };
    events.push(recorded);
    for (const listener of listeners) listener(recorded);
  };
  const telemetry: Telemetry = {
    recordEvent: happen,
    recordBoot: (boot) => void boots.push(boot),
    listEvents: async ({ node, afterId = 0, limit }) =>
      events
        .filter((event) => event.id > afterId && (node === undefined || event.node === node))
        .slice(-limit),
    listBoots: async ({ node, limit }) =>
      boots.filter((boot) => node === undefined || boot.node === node).slice(0, limit),
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
  const logs = openTelemetry({
    path: join(directory, "telemetry.sqlite"),
    now: () => TEST_NOW,
    retention: { keepDays: 1, maxEvents: 1, maxBoots: 1, maxLogLines: 1000 },
  });
  const ignore = (): void => undefined;
  const fleet: Fleet = {
    dhcpSeen: ignore,
    scriptServed: ignore,
    scriptDisowned: ignore,
    alerted: ignore,
    artifactServed: ignore,
    pendingSeen: ignore,
    enrolled: ignore,
    planServed: ignore,
    stagesReported: ignore,
    failureReported: ignore,
    sessionOpened: ignore,
    heartbeat: ignore,
    sessionReady: ignore,
    sessionClosed: ignore,
    restartAnswered: (node) => void restarted.push(node),
    forget: () => undefined,
    statusOf: (node: NodeName) => statuses.get(node) ?? { node, state: "new" },
    onChange: () => ignore,
  };
  const hooks = await openHooks({
    directory: join(directory, "hooks.d"),
    deadlineMs: 5000,
    userId: process.getuid?.() ?? 0,
    toldPath: join(directory, "told.json"),
    fleet,
    telemetry: { recordEvent: happen },
    now: () => TEST_NOW,
    onBug: (error) => {
      throw error;
    },
  });
  return {
    directory,
    authority,
    statuses,
    overlays,
    overlayTroubles,
    boots,
    findings,
    logs,
    happen,
    restarted,
    answers,
    wait: (claimCode, mac) => {
      const bootMac = readMacAddress(mac);
      if (bootMac === undefined) throw new Error(`bad MAC in a test: ${mac}`);
      return inventory.recordPending(
        {
          claimCode,
          machineKey: `uuid/${mac}`,
          bootMac,
          macs: [bootMac],
          smbiosUuid: "4c4c4544-0000-1000-8000-000000000001",
          serial: "S100",
          vendor: "Acme\u001b[31m",
          product: "X1",
          architecture: "x86_64",
          firmware: "efi",
          cpus: 64,
          sockets: 2,
          memoryBytes: 256_000_000_000,
          cpuModel: "Imaginary 7",
          address: "10.77.0.131",
        },
        new Date(TEST_NOW.getTime() - 65_000),
      );
    },
    deps: {
      inventory,
      telemetry,
      logs,
      fleet,
      directives,
      defaultImage: undefined,
      blobs,
      enrolments: {
        approve: async (claimCode, { name, fields }, author) =>
          inventory.approvePending(
            claimCode,
            {
              name,
              fields: {
                kernelArguments: [],
                overlays: [],
                runtimeOverlays: [],
                tags: {},
                devices: [],
                ...fields,
              },
            },
            author,
          ),
        reject: async (claimCode) => inventory.deletePending(claimCode),
      },
      runtimeOverlays: { statusOf: (node) => overlays.get(node), troubles: () => overlayTroubles },
      impostors: {
        clear: async (names, author) => (await inventory.clearAlerts(names, author)).map(({ node }) => node),
      },
      hooks,
      listOverlays: async () => [{ name: "site", path: "/var/lib/muster/overlays/site" }],
      runDoctor: async () => findings,
      renderSnippet: async (format) => `# for ${format}\nnext-server 10.77.0.1;\n`,
      authority,
      version: "0.1.0",
      startedAt: new Date(TEST_NOW.getTime() - 3_600_000),
      now: () => TEST_NOW,
      randomBytes: (size) => Buffer.alloc(size, 7),
      onBug: (error, where) => {
        throw new Error(`a bug at ${where}`, { cause: error });
      },
    },
    [Symbol.asyncDispose]: async () => {
      await hooks[Symbol.asyncDispose]();
      await logs[Symbol.asyncDispose]();
      await inventory[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
