import type { AgentRelease, Hello } from "#proto/gen/muster/v1/session.ts";
import type { BlobReference } from "../inventory/inventory.ts";
import type { StoredAgent } from "./agent-release.ts";

/** What a fleet that fetches an agent may take of the boot network: a gigabit link, and no more. */
const BYTES_PER_SECOND = 125_000_000;
/** An update may take this long at most, however many nodes there are. */
const MAX_SPREAD_SECONDS = 3600;

/**
 * The agent a node is offered at its welcome: this controller's, unless the node runs it already, or does not know
 * what it runs. Spread so that a fleet of `nodes` takes no more than a gigabit per second: 2,000 nodes take nine
 * minutes, one node is told to fetch at once.
 */
export function planAgentOffer(
  agent: StoredAgent | undefined,
  hello: Pick<Hello, "agentDigest">,
  nodes: number,
  ticketFor: (blob: BlobReference) => Buffer,
): AgentRelease | undefined {
  if (agent === undefined || hello.agentDigest === "" || hello.agentDigest === agent.build) return undefined;
  const { version, build, sizeBytes, blob } = agent;
  const spread = Math.ceil((nodes * blob.sizeBytes) / BYTES_PER_SECOND);
  return {
    version,
    digest: build,
    sizeBytes,
    blob: { ...blob, ticket: ticketFor(blob) },
    spreadSeconds: Math.min(MAX_SPREAD_SECONDS, spread),
  };
}
