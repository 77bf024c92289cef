import type { handleUnaryCall, ServerUnaryCall } from "@grpc/grpc-js";

import { type Digest, parseDigest, shortDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type {
  GetBootPlanRequest,
  OverlayEntry,
  ProvisioningServer,
  ReportBootRequest,
  ReportFailureRequest,
} from "#proto/gen/muster/v1/provisioning.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";
import { nodeOf, type VerifiedNode } from "../api/grpc/authorize-calls.ts";
import type { BootFailure, Telemetry } from "../events/telemetry.ts";
import type { BlobStore } from "../images/blob-store.ts";
import { sealBlobTicket } from "../images/blob-tickets.ts";
import { planImageChoice } from "../images/plan-image-choice.ts";
import type { BlobReference, Inventory, Node } from "../inventory/inventory.ts";
import type { Fleet } from "./fleet.ts";
import { parsePrintable, parsePrintableLines, parseStages } from "./parse-boot-report.ts";
import { type BootSettings, planBoot } from "./plan-boot.ts";

/** What provisioning works with. */
export interface ProvisioningParts {
  readonly inventory: Pick<Inventory, "findNode" | "listImages">;
  readonly fleet: Pick<Fleet, "planServed" | "stagesReported" | "failureReported">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly blobs: Pick<BlobStore, "verify">;
  readonly settings: BootSettings;
  /** Tickets outlive the boot they are for by what a slow one may take. */
  readonly ticketSeconds: number;
  readonly ticketKey: Uint8Array;
  /** The system overlay of a node; blobs in it without tickets. */
  readonly buildOverlay: (node: Node) => Promise<readonly OverlayEntry[]>;
  readonly now: () => Date;
  readonly onBug: (error: unknown, method: string) => void;
}

const MAX_SENTENCE = 500;
const MAX_KERNEL_LOG = 64 * 1024;
/** Reading a blob of gigabytes again tells nothing new within this time. */
const VERIFY_AGAIN_MS = 60_000;

/** The Provisioning service: what a node boots, and how it went. */
export function serveProvisioning(parts: ProvisioningParts): ProvisioningServer {
  const judgeBlob = makeBlobJudge(parts);
  return {
    getBootPlan: answer(parts, async (request: GetBootPlanRequest, caller) => {
      requireOwnBoot(request.bootId, caller);
      const node = await parts.inventory.findNode(caller.node);
      if (node === undefined) throw nodeGone(caller);
      const choice = planImageChoice(await parts.inventory.listImages(), {
        name: node.image ?? parts.settings.defaultImage,
        isKnown: true,
      });
      if (!choice.found) {
        throw new MusterError({ code: "no-image", what: `${node.name}: ${choice.what}`, fix: choice.fix });
      }
      const { version } = choice;
      const overlay = await parts.buildOverlay(node);
      const expiresAt = new Date(parts.now().getTime() + parts.ticketSeconds * 1000);
      const ticketFor = ({ digest, sizeBytes }: BlobReference): Buffer =>
        sealBlobTicket(parts.ticketKey, {
          node: caller.node,
          bootId: caller.bootId,
          digest,
          sizeBytes,
          expiresAt,
        });
      const plan = planBoot({ node, version, overlay, settings: parts.settings, ticketFor });
      parts.fleet.planServed(caller.node, caller.bootId, version.image, version.version);
      return { plan };
    }),
    reportBoot: answer(parts, async (request: ReportBootRequest, caller) => {
      requireOwnBoot(request.bootId, caller);
      const { bootId, uptimeMs } = request;
      parts.fleet.stagesReported(
        caller.node,
        { bootId, uptimeMs, stages: parseStages(request.stages) },
        parts.now(),
      );
      return {};
    }),
    reportFailure: answer(parts, async (request: ReportFailureRequest, caller) => {
      requireOwnBoot(request.bootId, caller);
      const failure = readFailure(request);
      const { bootId, uptimeMs } = request;
      const stages = parseStages(request.stages);
      parts.fleet.failureReported(caller.node, { bootId, uptimeMs, stages }, failure, parts.now());
      const next =
        request.retryInSeconds === 0 ? "it restarts" : `it tries again in ${request.retryInSeconds} s`;
      parts.telemetry.recordEvent({
        severity: "error",
        kind: "boot-failed",
        node: caller.node,
        what: `${caller.node} failed to boot at ${failure.stage}: ${failure.what}; ${next}`,
        fix: failure.fix,
      });
      // The node need not wait while gigabytes are read again.
      if (request.blobDigest !== "") judgeBlob(request.blobDigest, caller);
      return {};
    }),
  };
}

function answer<Request, Response>(
  parts: Pick<ProvisioningParts, "onBug">,
  handle: (request: Request, caller: VerifiedNode) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback) => {
    handle(call.request, nodeOf(call)).then(
      (response) => {
        callback(null, response);
      },
      (error: unknown) => {
        if (!(error instanceof MusterError)) parts.onBug(error, call.getPath());
        callback(grpcErrorFrom(error));
      },
    );
  };
}

/** A certificate speaks for one boot; a report about another is a mix-up of the agent at best. */
function requireOwnBoot(bootId: string, caller: VerifiedNode): void {
  if (bootId === caller.bootId) return;
  throw new MusterError({
    code: "permission-denied",
    what: `the certificate of ${caller.node} is for another boot than the one named`,
    fix: "power-cycle the node",
  });
}

function nodeGone(caller: VerifiedNode): MusterError {
  return new MusterError({
    code: "node-unknown",
    what: `node ${caller.node} was deleted while it booted`,
    fix: "add it again (muster node add), then power-cycle it",
  });
}

function readFailure(request: ReportFailureRequest): BootFailure {
  return {
    stage: /^[a-z][a-z0-9-]{0,31}$/.test(request.stage) ? request.stage : "unknown",
    code: /^[a-z][a-z0-9-]{0,63}$/.test(request.code) ? request.code : "internal",
    what: parsePrintable(request.what, MAX_SENTENCE),
    fix: parsePrintable(request.fix, MAX_SENTENCE),
    kernelLogTail: parsePrintableLines(request.kernelLogTail, MAX_KERNEL_LOG),
  };
}

/** Finds out whose fault a digest that did not match was: the store's, or that of the way to the node. */
function makeBlobJudge(parts: ProvisioningParts): (text: string, caller: VerifiedNode) => void {
  const judged = new Map<Digest, number>();
  const judge = async (text: string, caller: VerifiedNode): Promise<void> => {
    const digest = parseDigest(text);
    const nowMs = parts.now().getTime();
    for (const [other, at] of judged) if (nowMs - at > VERIFY_AGAIN_MS) judged.delete(other);
    const owner = (await parts.inventory.listImages())
      .flatMap((image) => image.versions)
      .find((version) =>
        [version.kernel, version.modules, ...version.layers].some((blob) => blob.digest === digest),
      );
    // Only blobs of images are worth the reading: the digest is the node's claim.
    if (owner === undefined || judged.has(digest)) return;
    judged.set(digest, nowMs);
    const verdict = await parts.blobs.verify(digest);
    const blob = `blob ${shortDigest(digest)} of ${owner.image} version ${owner.version}`;
    if (verdict === "ok") {
      parts.telemetry.recordEvent({
        severity: "warning",
        kind: "blob-transfer-corrupt",
        node: caller.node,
        what: `${blob} did not verify on ${caller.node}, but is good in the store`,
        fix: `suspect memory or network of ${caller.node}: it alone saw other bytes`,
      });
      return;
    }
    parts.telemetry.recordEvent({
      severity: "error",
      kind: verdict === "corrupt" ? "blob-corrupt" : "blob-missing",
      node: caller.node,
      what: `${blob} is ${verdict} in the store; ${caller.node} refused to boot from it`,
      fix: `import the image again: muster image import ${parsePrintable(owner.source, 200)} --name ${owner.image}; then check the controller's disk`,
    });
  };
  return (text, caller) => {
    judge(text, caller).catch((error: unknown) => {
      if (!(error instanceof MusterError)) parts.onBug(error, "ReportFailure");
    });
  };
}
