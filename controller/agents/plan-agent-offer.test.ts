import { expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";

import { planAgentOffer } from "./plan-agent-offer.ts";

const blob = { digest: digestOfHex("b".repeat(64)), sizeBytes: 33_000_000 };
const agent = { version: "0.2.0", build: digestOfHex("a".repeat(64)), sizeBytes: 109_000_000, blob };
const ticketFor = (): Buffer => Buffer.from("ticket");

test("a node with another agent is offered this one, with a ticket", () => {
  expect(planAgentOffer(agent, { agentDigest: digestOfHex("c".repeat(64)) }, 1, ticketFor)).toEqual({
    version: "0.2.0",
    digest: agent.build,
    sizeBytes: 109_000_000,
    blob: { ...blob, ticket: Buffer.from("ticket") },
    spreadSeconds: 1,
  });
});

test.each([
  [1, 1],
  [100, 27],
  [2000, 528],
  [10_000, 2640],
  [100_000, 3600],
])("%d nodes fetch it within %d s", (nodes, seconds) => {
  const offer = planAgentOffer(agent, { agentDigest: digestOfHex("c".repeat(64)) }, nodes, ticketFor);
  expect(offer?.spreadSeconds).toBe(seconds);
});

test("the same agent, one that does not know its build, and a controller without an agent: no offer", () => {
  expect([
    planAgentOffer(agent, { agentDigest: agent.build }, 1, ticketFor),
    planAgentOffer(agent, { agentDigest: "" }, 1, ticketFor),
    planAgentOffer(undefined, { agentDigest: digestOfHex("c".repeat(64)) }, 1, ticketFor),
  ]).toEqual([undefined, undefined, undefined]);
});
