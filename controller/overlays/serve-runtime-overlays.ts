import type { Digest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Content, Contents, OverlaySchedule, OverlayStatus } from "#proto/gen/muster/v1/overlay.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type { BlobStore } from "../images/blob-store.ts";
import { sealBlobTicket } from "../images/blob-tickets.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { LiveSession, SessionListener } from "../sessions/serve-session.ts";
import { assignOverlays } from "./assign-overlays.ts";
import { type LibraryTimings, type OverlayTrouble, openOverlayLibrary } from "./open-overlay-library.ts";
import { type BuiltManifest, openRuntimeManifests } from "./open-runtime-manifests.ts";
import { openUpdateMessages } from "./open-update-messages.ts";
import {
  type OverlayReport,
  type OverlayVerdict,
  planOverlayVerdict,
  withReactionsOf,
} from "./overlay-report.ts";
import { parseOverlayStatus } from "./parse-overlay-status.ts";
import { planFetchAnswer } from "./plan-overlay-answer.ts";
import { planOverlayEvents } from "./plan-overlay-events.ts";
import { openPushRounds, type PushTimings } from "./push-in-rounds.ts";
import { readStoredContent } from "./read-overlay-snapshot.ts";

/** What runtime overlays work with. */
export interface RuntimeOverlayParts {
  readonly settings: MusterConfig["overlays"];
  /** `paths.overlays`. */
  readonly root: string;
  readonly inventory: Pick<Inventory, "listNodes" | "onNodesChanged">;
  readonly blobs: Pick<BlobStore, "put" | "renew">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly ticketKey: Uint8Array;
  readonly ticketSeconds: number;
  readonly now: () => Date;
  readonly onBug: (error: unknown, where: string) => void;
  readonly timings?: LibraryTimings & PushTimings;
}

/** A node and its runtime overlay, as far as the controller knows. */
export interface NodeOverlay {
  readonly overlays: readonly string[];
  readonly verdict: OverlayVerdict;
  /** Of the manifest it is to have; undefined: `trouble` says why there is none. */
  readonly wanted: Digest | undefined;
  readonly trouble: string | undefined;
  readonly report: OverlayReport | undefined;
}

/** The controller's half of runtime overlays: it tells nodes what they are to have, and keeps what they have. */
export interface RuntimeOverlays extends SessionListener, Disposable {
  readonly schedule: OverlaySchedule;
  /** Undefined for a node that is not in the inventory. */
  statusOf(node: NodeName): NodeOverlay | undefined;
  /** Overlays in use that cannot be read as they are now. */
  troubles(): readonly OverlayTrouble[];
  /** Blobs the overlays in use need. */
  referencedBlobs(): readonly Digest[];
}

/** What was said with one node on one session. */
interface Talk {
  readonly session: LiveSession;
  /** What it was sent last: the only contents it may ask for. */
  sent: BuiltManifest | undefined;
  /** Digest of what it has, as it said; "" for nothing, undefined: it did not say yet. */
  has: string | undefined;
  /** It was sent a manifest and has not said yet what became of it. */
  isBusy: boolean;
  checks: number;
  checksSince: number;
}

/** Each full answer may have megabytes; an agent asks once in minutes. */
const MAX_CHECKS_A_MINUTE = 60;

/** Opens the runtime overlays of all nodes; trees are read from then on, and watched. */
export async function serveRuntimeOverlays(parts: RuntimeOverlayParts): Promise<RuntimeOverlays> {
  const { settings, inventory, telemetry, now } = parts;
  const talks = new Map<NodeName, Talk>();
  /** What each node told last, and in which boot: its next one begins with the image, and with nothing told. */
  const reports = new Map<NodeName, { readonly bootId: string; readonly said: OverlayReport }>();
  const library = openOverlayLibrary({
    ...{ root: parts.root, blobs: parts.blobs, telemetry },
    ...(parts.timings === undefined ? {} : { timings: parts.timings }),
    onRead: (name) => {
      manifests.forget(name);
      rounds.start();
    },
  });
  const manifests = openRuntimeManifests(library, settings.onDrift);
  const messages = openUpdateMessages();
  let assigned = assignOverlays(settings.runtime, await inventory.listNodes());
  const overlaysOf = (node: NodeName): readonly string[] => assigned.of.get(node) ?? settings.runtime;
  library.use(assigned.names);

  const rounds = openPushRounds({
    nodes: () => talks.keys(),
    push: (node) => {
      const talk = talks.get(node);
      // One that has asked for nothing yet will; one at work is told when it is done.
      if (talk?.sent === undefined || talk.isBusy) return 0;
      const { manifest } = manifests.of(overlaysOf(node));
      if (manifest === undefined || manifest.digest === talk.sent.digest) return 0;
      return sendUpdate(talk, manifest);
    },
    onBug: parts.onBug,
    ...(parts.timings === undefined ? {} : { timings: parts.timings }),
  });

  function sendUpdate(talk: Talk, manifest: BuiltManifest): number {
    const { message, sizeBytes } = messages.update(talk.has, manifest);
    talk.sent = manifest;
    // One that failed at this version already says nothing when it fails at it again.
    const hasFailed = reports.get(talk.session.node)?.said.failure?.digest === manifest.digest;
    talk.isBusy = talk.has !== manifest.digest && !hasFailed;
    if (talk.isBusy) rounds.expect(talk.session.node, () => (talk.isBusy = false));
    talk.session.send(message);
    return sizeBytes;
  }

  async function check(talk: Talk, digest: string): Promise<void> {
    limitChecks(talk, now());
    const overlays = overlaysOf(talk.session.node);
    await library.opened(overlays);
    await talk.session.drained?.();
    talk.has = digest === "" || /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined;
    const { manifest, trouble } = manifests.of(overlaysOf(talk.session.node));
    if (manifest === undefined) talk.session.send(messages.trouble(trouble));
    else sendUpdate(talk, manifest);
  }

  async function fetch(talk: Talk, asked: readonly string[]): Promise<void> {
    const mine = talk.sent?.contents ?? new Map<never, never>();
    const answer = planFetchAnswer(asked, mine);
    await talk.session.drained?.();
    const contents: Content[] = [];
    const missing = [...answer.missing];
    for (const digest of answer.send) {
      const stored = mine.get(digest);
      const data = stored === undefined ? undefined : await readStoredContent(digest, stored);
      if (data === undefined) missing.push(digest);
      else contents.push({ digest, data });
    }
    const value: Contents = {
      contents,
      missing,
      blobs: answer.tickets.map((digest) => blobOf(talk, digest)),
    };
    talk.session.send({ $case: "contents", value });
  }

  function blobOf({ session, sent }: Talk, digest: Digest): Contents["blobs"][number] {
    const sizeBytes = sent?.contents.get(digest)?.sizeBytes ?? 0;
    const expiresAt = new Date(now().getTime() + parts.ticketSeconds * 1000);
    const { node, bootId } = session;
    return {
      digest,
      sizeBytes,
      ticket: sealBlobTicket(parts.ticketKey, { node, bootId, digest, sizeBytes, expiresAt }),
    };
  }

  function report(talk: Talk, status: OverlayStatus): void {
    const { node, bootId } = talk.session;
    const before = reports.get(node)?.said;
    const said = withReactionsOf(before, parseOverlayStatus(status, now()));
    reports.set(node, { bootId, said });
    talk.has = said.digest ?? "";
    for (const event of planOverlayEvents(node, before, said)) telemetry.recordEvent(event);
    if (!talk.isBusy) return;
    talk.isBusy = false;
    rounds.settle(node);
  }

  const refresh = async (): Promise<void> => {
    const nodes = await inventory.listNodes();
    assigned = assignOverlays(settings.runtime, nodes);
    library.use(assigned.names);
    manifests.keepOnly(assigned.keys);
    for (const node of reports.keys()) if (!assigned.of.has(node)) reports.delete(node);
    rounds.start();
  };
  const unsubscribe = inventory.onNodesChanged(() => {
    refresh().catch((error: unknown) => {
      parts.onBug(error, "runtime overlays");
    });
  });

  return {
    schedule: { cron: settings.schedule, jitterSeconds: settings.jitterSeconds },
    opened: (session) => {
      if (reports.get(session.node)?.bootId !== session.bootId) reports.delete(session.node);
      talks.set(session.node, {
        ...{ session, sent: undefined, has: undefined, isBusy: false },
        ...{ checks: 0, checksSince: now().getTime() },
      });
    },
    received: async (session, message) => {
      const talk = talks.get(session.node);
      if (talk?.session !== session) return;
      if (message.$case === "checkOverlay") await check(talk, message.value.digest);
      else if (message.$case === "fetchContents") await fetch(talk, message.value.digests);
      else if (message.$case === "overlayStatus") report(talk, message.value);
    },
    closed: (session) => {
      if (talks.get(session.node)?.session !== session) return;
      talks.delete(session.node);
      rounds.forget(session.node);
    },
    statusOf: (node) => {
      const overlays = assigned.of.get(node);
      if (overlays === undefined) return undefined;
      const { manifest, trouble } = manifests.of(overlays);
      const said = reports.get(node)?.said;
      const verdict = planOverlayVerdict(talks.has(node), said, manifest?.digest);
      return { overlays, verdict, wanted: manifest?.digest, trouble, report: said };
    },
    troubles: library.troubles,
    referencedBlobs: library.referencedBlobs,
    [Symbol.dispose]: () => {
      unsubscribe();
      rounds[Symbol.dispose]();
      library[Symbol.dispose]();
    },
  };
}

function limitChecks(talk: Talk, now: Date): void {
  const nowMs = now.getTime();
  if (nowMs - talk.checksSince > 60_000) {
    talk.checksSince = nowMs;
    talk.checks = 0;
  }
  talk.checks += 1;
  if (talk.checks <= MAX_CHECKS_A_MINUTE) return;
  throw new MusterError({
    code: "too-many-requests",
    what: `${talk.session.node} asks for its runtime overlay too often`,
    fix: "look at its agent: journalctl -u muster-agent on the node",
  });
}
