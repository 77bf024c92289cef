import { randomBytes } from "node:crypto";
import { access, constants, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Server as TlsServer } from "node:tls";
import { parseArgs } from "node:util";

import { schedule } from "node-cron";
import { type Logger, pino } from "pino";

import { errorMeaning, errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";

import packageJson from "../package.json" with { type: "json" };
import { openAdmission, planConnectionLimits } from "./api/admit-connections.ts";
import { tellLimited } from "./api/tell-limited.ts";
import { openAgentOffers } from "./agents/offer-agents.ts";
import { planCallLimit, startAgentServer, startEnrollmentServer } from "./api/grpc/start-agent-servers.ts";
import { createApi } from "./api/rest/create-api.ts";
import { listenOnAddress, listenOnSocket } from "./api/rest/listen.ts";
import { CONTROL_SOCKET_NAME, DEFAULT_CONFIG_PATH } from "./config/default-config.ts";
import type { MusterConfig } from "./config/muster-config.ts";
import { readConfig } from "./config/read-config.ts";
import { runDoctor } from "./doctor/run-doctor.ts";
import { limitNodeEvents } from "./events/limit-node-events.ts";
import { hookChangeOf } from "./hooks/hook-event.ts";
import { openHooks } from "./hooks/open-hooks.ts";
import { planHookFindings } from "./hooks/plan-hook-findings.ts";
import { keepHardware } from "./hardware/keep-hardware.ts";
import { openCertificateAuthority } from "./identity/certificate-authority.ts";
import { keepServerCertificate } from "./identity/keep-server-certificate.ts";
import { mintToken } from "./identity/enrolment-tokens.ts";
import { openEnrolments } from "./identity/open-enrolments.ts";
import { serveEnrollment } from "./identity/serve-enrollment.ts";
import { watchImpostors } from "./identity/watch-impostors.ts";
import { sealBlobTicket } from "./images/blob-tickets.ts";
import { openBlobStore } from "./images/open-blob-store.ts";
import { startBlobWorkers } from "./images/start-blob-workers.ts";
import { DENIED_SECONDS } from "./inventory/inventory.ts";
import { openInventory } from "./inventory/open-inventory.ts";
import { openTelemetry } from "./inventory/open-telemetry.ts";
import { keepSecretFile } from "./keep-secret-file.ts";
import { planDhcpHosts } from "./netboot/plan-dhcp-hosts.ts";
import { renderDhcpSnippet } from "./netboot/render-dhcp-snippet.ts";
import { createBootServer } from "./netboot/serve-boot.ts";
import { superviseWhenInstalled } from "./netboot/supervise-when-installed.ts";
import { waitForAddress } from "./netboot/wait-for-address.ts";
import { notifySystemd } from "./notify-systemd.ts";
import { openSystemOverlays } from "./overlays/build-system-overlay.ts";
import { listOverlays } from "./overlays/list-overlays.ts";
import { serveRuntimeOverlays } from "./overlays/serve-runtime-overlays.ts";
import { openDirectives } from "./sessions/open-directives.ts";
import { keepLogs } from "./sessions/keep-logs.ts";
import { serveProvisioning } from "./sessions/serve-provisioning.ts";
import { serveSession } from "./sessions/serve-session.ts";
import { followInventory } from "./sessions/follow-inventory.ts";
import { trackFleet } from "./sessions/track-fleet.ts";

/** What the operating system tells this program: read here and nowhere else. */
interface Surroundings {
  readonly notifySocket: string | undefined;
  readonly logLevel: string;
  /** Where the base initramfs archives of this release are unless muster.yaml says otherwise. */
  readonly artifacts: string;
  readonly blobWorker: string;
}

const HEARTBEAT_SECONDS = 30;
/** A boot's tickets outlast the boot by far, and a day is what the certificate lives anyway. */
const TICKET_SECONDS = DENIED_SECONDS;
/** A node that gave up says so; one that says nothing for longer than that lost its power or its link. */
const ABANDON_MARGIN_SECONDS = 300;
/** Unreferenced blobs are looked for once a day, when nobody is watching. */
const GARBAGE_SCHEDULE = "17 4 * * *";

const USAGE = `musterd: the muster controller

  musterd [--config FILE]   run; FILE is ${DEFAULT_CONFIG_PATH} unless given
  musterd --version

Everything else is done with the command muster.
`;

/** Runs the controller until SIGTERM or SIGINT. Everything opened is closed in reverse order. */
async function runController(
  config: MusterConfig,
  around: Surroundings,
  log: Logger,
  stopping: AbortController,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const isStopping = (): boolean => stopping.signal.aborted;
  // From the first moment: a signal while musterd starts must not leave a dnsmasq behind.
  const ended = nextSignal().then((signal) => {
    log.info({ signal }, "musterd is stopping");
    stopping.abort();
  });
  const now = (): Date => new Date();
  const onBug = (error: unknown, where: string): void => {
    log.error({ err: error, where }, "unexpected error: a bug in muster");
  };
  const startedAt = now();
  await makeDirectory(config.paths.state, "paths.state", 0o700);
  await makeDirectory(config.paths.runtime, "paths.runtime", 0o755);
  await makeDirectory(config.paths.overlays, "paths.overlays", 0o755);

  // What survives, and what may be lost.
  const telemetry = stack.use(
    openTelemetry({
      path: join(config.paths.state, "telemetry.db"),
      now,
      retention: config.telemetry,
      onTrouble: (what, error) => {
        log.warn({ err: error }, what);
      },
    }),
  );
  telemetry.onEvent(({ severity, kind, node, what, fix }) => {
    const level = severity === "info" ? "info" : severity === "warning" ? "warn" : "error";
    log[level]({ kind, node, fix }, what);
  });
  const nodeTelemetry = limitNodeEvents(telemetry, now);
  const onEvent: Parameters<typeof createBootServer>[0]["onEvent"] = (event) => {
    telemetry.recordEvent(event);
  };
  const inventory = stack.use(await openInventory({ path: join(config.paths.state, "inventory.db"), now }));
  const blobRoot = join(config.paths.state, "blobs");
  const blobs = await openBlobStore({
    directory: blobRoot,
    onCorrupt: (digest, movedTo) => {
      telemetry.recordEvent({
        severity: "error",
        kind: "blob-corrupt",
        what: `blob ${digest} does not match its digest any more; it was moved to ${movedTo}`,
        fix: "import the image again (muster image import), and have the disk checked",
      });
    },
  });

  await waitForAddress(config.controller.address, onEvent, stopping.signal);
  if (isStopping()) return;

  // Who we are.
  const authorityDirectory = join(config.paths.state, "authority");
  const authority = await openCertificateAuthority(authorityDirectory, now);
  const ticketKey = await keepSecretFile(join(authorityDirectory, "ticket.key"), 32, randomBytes);
  const certificate = await keepServerCertificate(
    () =>
      authority.issueServer({
        names: config.controller.names.filter((name) => !isAddress(name)),
        addresses: [config.controller.address, ...config.controller.names.filter(isAddress)],
      }),
    now,
  );
  const server = certificate.current();

  // What the fleet is doing.
  const fleet = stack.use(
    await trackFleet({
      telemetry: nodeTelemetry,
      seen: telemetry,
      nodes: (await inventory.listNodes()).map(({ name }) => name),
      now,
      abandonAfterMs: (config.boot.giveUpAfterSeconds + ABANDON_MARGIN_SECONDS) * 1000,
    }),
  );
  // Before the hooks, which ask the fleet about the nodes of a change.
  stack.defer(followInventory(inventory, fleet));
  // What the site runs when something happens.
  const hooks = stack.use(
    await openHooks({
      directory: config.paths.hooks,
      deadlineMs: config.hooks.deadlineSeconds * 1000,
      userId: process.getuid?.() ?? 0,
      toldPath: join(config.paths.state, "hooks-told.json"),
      ...{ fleet, telemetry, now, onBug },
    }),
  );
  stack.defer(fleet.onChange(hooks.nodeChanged));
  stack.defer(
    telemetry.onEvent(({ kind, node }) => {
      if (kind === "machine-approved" && node !== undefined) hooks.nodeApproved(node as NodeName);
    }),
  );
  stack.defer(
    inventory.onCommitted((change) => {
      hooks.changeCommitted(hookChangeOf(change));
    }),
  );
  const impostors = stack.use(await watchImpostors({ inventory, telemetry, fleet, now, onBug }));
  const desk = openEnrolments({ inventory, telemetry, now });

  // gRPC.
  const at = (port: number): string[] => [`${config.controller.address}:${port}`];
  const { connectionsPerAddress } = config.limits;
  const limits = planConnectionLimits(connectionsPerAddress);
  const onLimited = tellLimited(telemetry, now);
  const endpoint = {
    address: config.controller.address,
    certPem: server.certPem,
    keyPem: server.keyPem,
    limits,
  };
  const blobWorkers = stack.use(
    await startBlobWorkers({
      program: around.blobWorker,
      count: config.blobs.workers,
      config: {
        ...endpoint,
        port: config.ports.blobs,
        caPem: authority.certificatePem,
        ticketKey,
        blobRoot,
        limits: planConnectionLimits(connectionsPerAddress, config.blobs.workers),
      },
      denied: await inventory.listDeniedBoots(),
      onLimited,
      telemetry,
      onBug,
    }),
  );
  stack.defer(inventory.onBootsDenied(blobWorkers.deny));
  certificate.onRenewed(blobWorkers.renew);
  const directives = openDirectives();
  const agents = stack.use(
    await openAgentOffers({
      isEnabled: config.agents.update,
      artifacts: config.paths.artifacts,
      ...{ blobs, inventory, telemetry },
      sealTicket: ({ node, bootId }, blob) =>
        sealBlobTicket(ticketKey, {
          ...{ node, bootId, ...blob },
          expiresAt: new Date(now().getTime() + TICKET_SECONDS * 1000),
        }),
    }),
  );
  const runtimeOverlays = stack.use(
    await serveRuntimeOverlays({
      settings: config.overlays,
      root: config.paths.overlays,
      ...{ inventory, blobs, telemetry: nodeTelemetry, ticketKey, now, onBug },
      ticketSeconds: TICKET_SECONDS,
    }),
  );
  const hardware = keepHardware({ inventory, telemetry: nodeTelemetry, now });
  const sessions = stack.use(
    serveSession({
      inventory,
      authority,
      fleet,
      heartbeatSeconds: HEARTBEAT_SECONDS,
      certificateSeconds: config.enrolment.certificateSeconds,
      composeWelcome: async (caller, hello) => ({
        hardwareDigest: await hardware.digestOf(caller.node, caller.bootId),
        overlaySchedule: runtimeOverlays.schedule,
        agent: agents.offerTo(caller, hello),
      }),
      listeners: [directives, hardware, runtimeOverlays, keepLogs({ history: telemetry, now })],
      onImpostor: impostors.seen,
      now,
      onBug,
    }),
  );
  const enrollment = serveEnrollment({
    inventory,
    authority,
    desk,
    fleet,
    isUp: sessions.isUp,
    onImpostor: impostors.seen,
    telemetry,
    rules: config.enrolment.rules,
    maxPending: config.enrolment.maxPending,
    certificateSeconds: config.enrolment.certificateSeconds,
    agentAddresses: at(config.ports.agents),
    now,
    onBug,
  });
  const enrolmentServer = stack.use(
    await startEnrollmentServer(
      { ...endpoint, port: config.ports.enrolment, onLimited },
      { enrollment, now, onBug },
    ),
  );
  const provisioning = serveProvisioning({
    inventory,
    fleet,
    telemetry: nodeTelemetry,
    blobs,
    settings: {
      defaultImage: config.boot.image,
      giveUpAfterSeconds: config.boot.giveUpAfterSeconds,
      rebootAfterSeconds: config.boot.rebootAfterSeconds,
      blobAddresses: at(config.ports.blobs),
    },
    ticketSeconds: TICKET_SECONDS,
    ticketKey,
    buildOverlay: openSystemOverlays({ config, inventory, blobs }),
    now,
    onBug,
  });
  const agentServer = stack.use(
    await startAgentServer(
      { ...endpoint, port: config.ports.agents, clientAuthorityPem: authority.certificatePem, onLimited },
      {
        provisioning,
        session: sessions.server,
        perAddress: planCallLimit(connectionsPerAddress),
        findIdentity: (node) => inventory.findIdentity(node),
        findDenied: (node, bootId) => inventory.findDeniedBoot(node, bootId),
        onImpostor: impostors.seen,
        now,
        onBug,
      },
    ),
  );
  certificate.onRenewed(enrolmentServer.renew);
  certificate.onRenewed(agentServer.renew);
  // Before the server that closes all sessions: a controller that stops is no news about any node.
  stack.defer(() => fleet[Symbol.asyncDispose]());

  // What firmware and iPXE ask for.
  const boot = createBootServer({
    config,
    inventory,
    blobs,
    fleet,
    authorityFingerprint: authority.fingerprint,
    mintToken: (node, bootMac, sourceAddress) =>
      mintToken({
        inventory,
        node,
        bootMac,
        sourceAddress,
        lifetimeSeconds: config.enrolment.tokenSeconds,
        now: now(),
      }),
    isUp: sessions.isUp,
    onImpostor: impostors.seen,
    onEvent,
    log,
  });
  // Machines that boot make a connection per file, and no handshake that costs anything.
  const bootLimits = { ...limits, newPerAddress: { perSecond: 100, burst: 4 * connectionsPerAddress } };
  const bootAdmission = stack.use(
    openAdmission(
      {
        perAddress: bootLimits.perAddress,
        overall: bootLimits.overall,
        newPerAddress: bootLimits.newPerAddress,
        newOverall: { perSecond: 5000, burst: 20_000 },
      },
      () => performance.now(),
      onLimited,
    ),
  );
  bootAdmission.guard(boot.server);
  await listenOnAddress(boot, config.controller.address, config.ports.http, "ports.http");
  stack.defer(() => boot.close());

  // DHCP and TFTP; in mode external only TFTP.
  const dnsmasq = stack.use(
    await superviseWhenInstalled(
      {
        config,
        listHosts: async () => planDhcpHosts(await inventory.listNodes()),
        onDhcp: (mac, seenAt) => {
          fleet.dhcpSeen(mac, seenAt);
        },
        onEvent,
        log,
      },
      stopping.signal,
    ),
  );
  stack.defer(
    inventory.onNodesChanged(() => {
      dnsmasq.hostsChanged();
    }),
  );

  // What people ask for.
  const dependencies: Parameters<typeof createApi>[0] = {
    inventory,
    telemetry,
    logs: telemetry,
    fleet,
    directives,
    defaultImage: config.boot.image,
    blobs,
    enrolments: desk,
    impostors,
    listOverlays: () => listOverlays(config.paths.overlays),
    runtimeOverlays,
    runDoctor: async (signal) => [
      ...(await runDoctor(
        config,
        {
          countNodes: async () => (await inventory.listNodes()).length,
          readAuthority: async () => ({
            fingerprint: authority.fingerprint,
            certificateExpires: certificate.expiresAt(),
          }),
          musterdPid: process.pid,
        },
        signal,
      )),
      ...planHookFindings(await hooks.list()),
    ],
    hooks,
    renderSnippet: async (format) =>
      renderDhcpSnippet(format, config, planDhcpHosts(await inventory.listNodes())),
    authority,
    version: packageJson.version,
    startedAt,
    now,
    randomBytes,
    onBug,
  };
  if (config.api.remote) {
    const https = await createApi(dependencies, {
      by: "token",
      certificatePem: server.certPem,
      keyPem: server.keyPem,
    });
    const { perAddress, overall, newPerAddress, newOverall } = limits;
    const admission = stack.use(
      openAdmission({ perAddress, overall, newPerAddress, newOverall }, () => performance.now(), onLimited),
    );
    admission.guard(https.server);
    if (https.server instanceof TlsServer) {
      const tls = https.server;
      certificate.onRenewed(({ certPem, keyPem }) => {
        tls.setSecureContext({ cert: certPem, key: keyPem, minVersion: "TLSv1.2" });
      });
    }
    await listenOnAddress(https, config.controller.address, config.ports.api);
    stack.defer(() => https.close());
  }
  const api = await createApi(dependencies, { by: "socket" });
  const socket = await listenOnSocket(api, join(config.paths.runtime, CONTROL_SOCKET_NAME), config.api.group);
  stack.defer(() => api.close());
  if (socket.warning !== undefined) log.warn(socket.warning);

  const garbage = schedule(
    GARBAGE_SCHEDULE,
    async () => {
      const referenced = new Set([
        ...(await inventory.listReferencedBlobs()),
        ...runtimeOverlays.referencedBlobs(),
        ...agents.referencedBlobs(),
      ]);
      const { removed, freedBytes } = await blobs.collectGarbage(
        referenced,
        config.blobs.graceSeconds * 1000,
        now(),
      );
      log.info({ removed, freedBytes }, "unreferenced blobs removed");
      await inventory.pruneTokens(now());
      if (await certificate.renewIfDue()) log.info("the controller's certificate was renewed");
    },
    { noOverlap: true },
  );
  stack.defer(() => void garbage.destroy());

  if (!isStopping()) {
    log.info({ version: packageJson.version, address: config.controller.address }, "musterd is ready");
    await notifySystemd("--ready", around.notifySocket);
  }
  await ended;
  await notifySystemd("--stopping", around.notifySocket);
}

/** `directory-unusable` when it cannot be made or written: musterd runs as a user of its own. */
async function makeDirectory(path: string, setting: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode });
    await access(path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new MusterError({
      code: "directory-unusable",
      what: `cannot use the directory ${path}: ${errorSentence(cause)}`,
      fix: `make it and give it to the account musterd runs as (chown muster: ${path}), or change ${setting} in muster.yaml`,
    });
  }
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
}

function isAddress(name: string): boolean {
  return /^[\d.]+$/.test(name) || name.includes(":");
}

async function lookAround(): Promise<Surroundings> {
  const here = import.meta.dirname;
  // Bundled, this file is lib/musterd.mjs and its worker lies beside it; in development both are sources.
  const isBundled = await access(join(here, "blob-worker.mjs")).then(
    () => true,
    () => false,
  );
  return {
    notifySocket: process.env["NOTIFY_SOCKET"],
    logLevel: process.env["MUSTERD_LOG_LEVEL"] ?? "info",
    artifacts: isBundled ? join(here, "../artifacts") : join(here, "../dist/artifacts"),
    blobWorker: join(here, isBundled ? "blob-worker.mjs" : "images/blob-worker.ts"),
  };
}

async function main(): Promise<number> {
  const stopping = new AbortController();
  try {
    const { values } = parseArgs({
      options: {
        config: { type: "string", short: "c", default: DEFAULT_CONFIG_PATH },
        version: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    if (values.version) {
      process.stdout.write(`musterd ${packageJson.version}\n`);
      return 0;
    }
    const around = await lookAround();
    const config = await readConfig(values.config, around.artifacts);
    await runController(config, around, pino({ level: around.logLevel, base: null }), stopping);
    return 0;
  } catch (error) {
    // What was under way when the signal came was told to stop, and says so in its own way.
    if (stopping.signal.aborted) return 0;
    const fix = error instanceof MusterError && error.fix !== undefined ? `\n  ${error.fix}` : "";
    process.stderr.write(`musterd: ${errorSentence(error)}${fix}\n`);
    if (!(error instanceof MusterError) && error instanceof Error)
      process.stderr.write(`${error.stack ?? ""}\n`);
    return errorMeaning(error).exit;
  }
}

process.exit(await main());
