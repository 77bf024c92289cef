import { describe, expect, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { type EnrolmentFacts, planEnrolment } from "./plan-enrolment.ts";

const C001 = parseNodeName("c001");
const FACTS: EnrolmentFacts = {
  protocolVersion: 1,
  served: { oldest: 1, newest: 2 },
  redemption: "absent",
  redeemedNodeExists: false,
  isUp: false,
  deniedWhy: undefined,
  knownNode: undefined,
  holdsIdentity: false,
  bootedNode: undefined,
  approval: { kind: "none" },
  pending: { isListed: false, count: 0, limit: 2 },
};
const redeemed = { kind: "redeemed", node: C001 } as const;
const rule = { kind: "approve", name: parseNodeName("c002"), image: "debian12" } as const;
const REFUSAL = new MusterError({ code: "enrolment-refused", what: "this machine was replaced as c001" });
const full = { isListed: false, count: 2, limit: 2 };

function outcome(facts: Partial<EnrolmentFacts>): string {
  const decision = planEnrolment({ ...FACTS, ...facts });
  if (decision.kind === "refuse") return `${decision.isImpostor ? "impostor: " : ""}${decision.error.code}`;
  return decision.kind === "accept" ? `accept ${decision.node}` : decision.kind;
}

describe("planEnrolment", () => {
  test.each<[string, Partial<EnrolmentFacts>]>([
    ["protocol-unsupported", { protocolVersion: 0, redemption: redeemed, redeemedNodeExists: true }],
    ["protocol-unsupported", { protocolVersion: 3 }],
    ["accept c001", { protocolVersion: 2, redemption: redeemed, redeemedNodeExists: true }],
    ["token-refused", { redemption: { kind: "refused", reason: "used" }, approval: rule, knownNode: C001 }],
    ["enrolment-refused", { redemption: redeemed, redeemedNodeExists: false, approval: rule }],
    ["accept c001", { redemption: redeemed, redeemedNodeExists: true, knownNode: C001, pending: full }],
    ["impostor: enrolment-refused", { redemption: redeemed, redeemedNodeExists: true, isUp: true }],
    ["impostor: enrolment-refused", { knownNode: C001, isUp: true, approval: rule }],
    ["impostor: enrolment-refused", { knownNode: C001, isUp: true, deniedWhy: "revoked" }],
    ["impostor: certificate-refused", { bootedNode: "c001", knownNode: C001, isUp: true }],
    [
      "impostor: token-refused",
      { redemption: { kind: "refused", reason: "expired" }, knownNode: C001, isUp: true },
    ],
    ["certificate-refused", { redemption: redeemed, redeemedNodeExists: true, deniedWhy: "revoked" }],
    ["certificate-refused", { knownNode: C001, deniedWhy: "revoked" }],
    ["approve", { approval: rule, pending: full }],
    ["accept c001", { knownNode: C001, holdsIdentity: true, approval: rule, pending: full }],
    ["accept c001", { bootedNode: "c001", knownNode: C001, holdsIdentity: true, pending: full }],
    ["certificate-refused", { bootedNode: "c001", knownNode: C001 }],
    ["certificate-refused", { bootedNode: "c002", knownNode: C001, holdsIdentity: true }],
    ["certificate-refused", { bootedNode: "c001", approval: rule }],
    ["certificate-refused", { bootedNode: "c001", redemption: redeemed, redeemedNodeExists: true }],
    ["pending", { holdsIdentity: true }],
    [
      "token-refused",
      { knownNode: C001, holdsIdentity: true, redemption: { kind: "refused", reason: "used" } },
    ],
    ["pending", { approval: rule, knownNode: C001 }],
    ["pending", { knownNode: C001 }],
    ["pending", { approval: { kind: "names-exhausted", names: "c[1-2]" } }],
    ["pending", {}],
    ["pending", { pending: { ...full, isListed: true } }],
    ["enrolment-refused", { refusal: REFUSAL }],
    ["enrolment-refused", { refusal: REFUSAL, redemption: redeemed, redeemedNodeExists: true }],
    ["enrolment-refused", { refusal: REFUSAL, bootedNode: "c001", holdsIdentity: true, approval: rule }],
    ["too-many-pending", { pending: full }],
    ["too-many-pending", { pending: full, knownNode: C001, approval: rule }],
  ])("is %s for %j", (expected, facts) => {
    expect(outcome(facts)).toBe(expected);
  });

  test("a refused token says why and what to do", () => {
    const sentences = (["unknown", "used", "expired", "other-machine", "other-address"] as const).map(
      (reason) => {
        const decision = planEnrolment({ ...FACTS, redemption: { kind: "refused", reason } });
        return decision.kind === "refuse" ? `${decision.error.message}; ${decision.error.fix ?? ""}` : "";
      },
    );
    const fix = "nothing to do: the machine restarts by itself, and its next boot script has a new token";
    expect(sentences).toEqual([
      `the enrolment token was refused: this controller did not issue it, or it is long past; ${fix}`,
      `the enrolment token was refused: it was used already, by another key; ${fix}`,
      `the enrolment token was refused: it has expired; ${fix}`,
      `the enrolment token was refused: it was issued to another machine; ${fix}`,
      `the enrolment token was refused: it was issued to another address; ${fix}`,
    ]);
  });
});
