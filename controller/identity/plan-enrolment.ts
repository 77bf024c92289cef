import { type ErrorCode, MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Approval } from "./plan-approval.ts";

/** Why a token was refused. */
export type TokenRefusal = "unknown" | "used" | "expired" | "other-machine" | "other-address";

/** How presenting a token ended. */
export type TokenRedemption =
  | { readonly kind: "redeemed"; readonly node: NodeName }
  | { readonly kind: "refused"; readonly reason: TokenRefusal };

/** Everything the decision about an enrolment depends on. */
export interface EnrolmentFacts {
  readonly protocolVersion: number;
  /** What the controller serves, inclusive. */
  readonly served: { readonly oldest: number; readonly newest: number };
  /** How the token, or the approval bound to the machine's key, fared; "absent" without either. */
  readonly redemption: TokenRedemption | "absent";
  /** The node the token is for still exists. */
  readonly redeemedNodeExists: boolean;
  /** The node that has the machine's boot MAC. */
  readonly knownNode: NodeName | undefined;
  /** The node that this would become (the token's, or the one with the MAC) is up, and this is not it. */
  readonly isUp: boolean;
  /** Why the identity of this boot of that node was made void; undefined when it was not. */
  readonly deniedWhy: string | undefined;
  /** The known node's latest identity is of this very boot and for the key that signed the request. */
  readonly holdsIdentity: boolean;
  /** What a booted node says it is; undefined in the initramfs. */
  readonly bootedNode: string | undefined;
  /** What a machine is told that another took the place of; undefined for all others, and for those a node is known by. */
  readonly refusal?: MusterError | undefined;
  readonly approval: Approval;
  readonly pending: { readonly isListed: boolean; readonly count: number; readonly limit: number };
}

/** What becomes of a machine that asks to enrol. */
export type EnrolmentDecision =
  | { readonly kind: "accept"; readonly node: NodeName }
  | { readonly kind: "approve"; readonly name: NodeName; readonly image?: string }
  | { readonly kind: "pending" }
  /** `isImpostor`: people must know. */
  | { readonly kind: "refuse"; readonly error: MusterError; readonly isImpostor: boolean };

/**
 * | protocol | token     | MAC known | key  | rule | list has room | decision |
 * |----------|-----------|-----------|------|------|---------------|----------|
 * | not ours | -         | -         | -    | -    | -             | refuse `protocol-unsupported` |
 * | ok       | any: the machine was replaced, and no node has its MAC |||| refuse `enrolment-refused` |
 * | ok       | booted node, whose MAC and key (of this boot) they are | - | - | accept |
 * | ok       | booted node, any other case      | - | -             | refuse `certificate-refused` |
 * | ok       | refused   | -         | -    | -    | -             | refuse `token-refused` |
 * | ok       | redeemed, node deleted since | - | - | - | -       | refuse `enrolment-refused` |
 * | ok       | redeemed, or absent and MAC known: its node is up |||| refuse `enrolment-refused` |
 * | ok       | the same: boot denied             |||| -          | refuse `certificate-refused` |
 * | ok       | redeemed  | -         | -    | -    | -             | accept |
 * | ok       | absent    | yes       | the node's, of this boot | - | - | accept |
 * | ok       | absent    | no        | -    | fits | -             | approve |
 * | ok       | absent    | any other case          ||| yes or listed | pending |
 * | ok       | absent    | any other case          ||| no            | refuse `too-many-pending` |
 *
 * A known MAC without a token is somebody's guess until an operator looks: MACs are public and easily set.
 * Rules do not apply to it either, or a copied MAC would be given a second node.
 *
 * A token goes to whoever asks for a node's script from the node's address: any user of the running node can. So
 * a node that still answers in the session of its boot is not restarting, and the one with the token is not it. An
 * operator's approval stands over that: it is how a node's hardware is replaced while the old is on.
 *
 * A boot whose identity was made void (revoked, superseded, node deleted) gets no other: the machine must restart.
 *
 * A node whose certificate expired while no controller answered has no token any more. Its key was accepted
 * at the start of this boot and has never left the node's memory: whoever signs with it is still that node. A
 * request that someone recorded and sends again gets a certificate for a key that he does not have.
 */
export function planEnrolment(facts: EnrolmentFacts): EnrolmentDecision {
  const { served, redemption, pending } = facts;
  if (facts.protocolVersion < served.oldest || facts.protocolVersion > served.newest) {
    return refuse(
      facts,
      "protocol-unsupported",
      `the agent speaks protocol ${facts.protocolVersion}, this controller ${served.oldest} to ${served.newest}`,
      "power-cycle the node so that it loads this controller's initramfs; controllers and agents may be one release apart",
    );
  }
  // An operator's approval of before it was replaced does not stand over that.
  if (facts.refusal !== undefined) return { kind: "refuse", error: facts.refusal, isImpostor: false };
  if (facts.bootedNode !== undefined) {
    if (facts.holdsIdentity && facts.knownNode === facts.bootedNode) {
      return { kind: "accept", node: facts.knownNode };
    }
    return refuse(
      facts,
      "certificate-refused",
      `this is not ${facts.bootedNode} in the boot it was given its identity for: the node was deleted, changed its MAC address or has enrolled again since`,
      "restart the node to enrol it again",
    );
  }
  if (redemption !== "absent") {
    if (redemption.kind === "refused") {
      return { kind: "refuse", error: tokenRefused(redemption.reason), isImpostor: facts.isUp };
    }
    const refusal = refuseFor(redemption.node, facts);
    if (refusal !== undefined) return refusal;
    if (facts.redeemedNodeExists) return { kind: "accept", node: redemption.node };
    return refuse(
      facts,
      "enrolment-refused",
      `node ${redemption.node} was deleted while this machine booted`,
      "add the node again, then power-cycle it",
    );
  }
  if (facts.knownNode !== undefined && facts.holdsIdentity) return { kind: "accept", node: facts.knownNode };
  const refusal = facts.knownNode === undefined ? undefined : refuseFor(facts.knownNode, facts);
  if (refusal !== undefined) return refusal;
  if (facts.knownNode === undefined && facts.approval.kind === "approve") return facts.approval;
  if (pending.isListed || pending.count < pending.limit) return { kind: "pending" };
  return refuse(
    facts,
    "too-many-pending",
    `${pending.count} machines wait for approval, and no more are listed`,
    "approve or reject some (muster node pending), or raise enrolment.maxPending",
  );
}

/** The error a machine gets whose token was refused. */
function tokenRefused(reason: TokenRefusal): MusterError {
  const why = {
    unknown: "this controller did not issue it, or it is long past",
    used: "it was used already, by another key",
    expired: "it has expired",
    "other-machine": "it was issued to another machine",
    "other-address": "it was issued to another address",
  } satisfies Record<TokenRefusal, string>;
  return new MusterError({
    code: "token-refused",
    what: `the enrolment token was refused: ${why[reason]}`,
    fix: "nothing to do: the machine restarts by itself, and its next boot script has a new token",
  });
}

/** What speaks against becoming this node, whoever says that it may. */
function refuseFor(node: NodeName, facts: EnrolmentFacts): EnrolmentDecision | undefined {
  if (facts.isUp) {
    return refuse(
      facts,
      "enrolment-refused",
      `node ${node} is up and answers in its session; who asks to enrol as it is another machine or a user of it`,
      "find out who uses the node's MAC address; a machine that really is the node gets in as soon as the session ends",
    );
  }
  if (facts.deniedWhy === undefined) return undefined;
  return refuse(
    facts,
    "certificate-refused",
    `this boot cannot become ${node} again: ${facts.deniedWhy}`,
    "restart the machine",
  );
}

function refuse(
  { isUp }: Pick<EnrolmentFacts, "isUp">,
  code: ErrorCode,
  what: string,
  fix: string,
): EnrolmentDecision {
  return { kind: "refuse", error: new MusterError({ code, what, fix }), isImpostor: isUp };
}
