import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { AgentRelease, Hello } from "#proto/gen/muster/v1/session.ts";
import type { VerifiedNode } from "../api/grpc/authorize-calls.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type { BlobStore } from "../images/blob-store.ts";
import type { BlobReference, Inventory } from "../inventory/inventory.ts";
import { type StoredAgent, storeAgentRelease } from "./agent-release.ts";
import { planAgentOffer } from "./plan-agent-offer.ts";

/** Offers the agent of this release to nodes that run another one. Disposing ends its watch over the inventory. */
export interface AgentOffers extends Disposable {
  /** For the welcome of a node; undefined: what it runs is right, or none of our business. */
  readonly offerTo: (caller: VerifiedNode, hello: Hello) => AgentRelease | undefined;
  /** Blobs that garbage collection leaves alone. */
  readonly referencedBlobs: () => readonly BlobReference["digest"][];
}

/**
 * Opens the offers. A release whose agent cannot be stored is no reason for musterd not to start: nodes keep the
 * agents they have, and an event says why.
 */
export async function openAgentOffers(parts: {
  /** agents.update of muster.yaml. */
  readonly isEnabled: boolean;
  readonly artifacts: string;
  readonly blobs: Pick<BlobStore, "put" | "sizeOf">;
  readonly inventory: Pick<Inventory, "listNodes" | "onNodesChanged">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly sealTicket: (caller: VerifiedNode, blob: BlobReference) => Buffer;
}): Promise<AgentOffers> {
  const { inventory, telemetry } = parts;
  const warn = (error: unknown): void => {
    telemetry.recordEvent({
      severity: "warning",
      kind: "agent-not-offered",
      what: `nodes keep the agents they have: ${errorSentence(error)}`,
      ...(error instanceof MusterError && error.fix !== undefined ? { fix: error.fix } : {}),
    });
  };
  let agent: StoredAgent | undefined;
  if (parts.isEnabled) {
    try {
      agent = await storeAgentRelease(parts.artifacts, parts.blobs);
    } catch (error) {
      warn(error);
    }
  }
  // Counted when it changes, not at each welcome: thousands come within a minute.
  let nodes = (await inventory.listNodes()).length;
  const unsubscribe = inventory.onNodesChanged(() => {
    inventory.listNodes().then((all) => {
      nodes = all.length;
    }, warn);
  });
  return {
    offerTo: (caller, hello) => planAgentOffer(agent, hello, nodes, (blob) => parts.sealTicket(caller, blob)),
    referencedBlobs: () => (agent === undefined ? [] : [agent.blob.digest]),
    [Symbol.dispose]: unsubscribe,
  };
}
