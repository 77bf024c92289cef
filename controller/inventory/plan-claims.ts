import { type ChangeProblem } from "./plan-references.ts";
import { type Claim, claimKey, type InventoryFacts, type NodeEntry } from "./inventory-view.ts";
import { MOST_FINDINGS } from "./change-refused.ts";

/** Who claims which MAC and which address once `nodes` are what they will be; what two of them claim is a problem. */
export function* planClaims(
  base: InventoryFacts,
  nodes: ReadonlyMap<string, NodeEntry | undefined>,
  problems: ChangeProblem[],
): Generator<void, ReadonlyMap<string, Claim | undefined>> {
  const claims = new Map<string, Claim | undefined>();
  for (const name of nodes.keys()) {
    for (const claim of base.findNode(name)?.claims ?? []) {
      const key = claimKey(claim);
      if (base.findClaim(key)?.owner === name) claims.set(key, undefined);
    }
    yield;
  }
  for (const entry of nodes.values()) {
    for (const claim of entry?.claims ?? []) {
      const key = claimKey(claim);
      const other = claims.has(key) ? claims.get(key) : base.findClaim(key);
      if (other === undefined) claims.set(key, claim);
      else if (problems.length < MOST_FINDINGS) problems.push(claimProblem(claim, other));
    }
    yield;
  }
  return claims;
}

function claimProblem({ field, value, owner, where }: Claim, other: Claim): ChangeProblem {
  return {
    code: field === "mac" ? "mac-in-use" : "address-in-use",
    at: `${owner} ${where}`,
    what: `${value} already belongs to ${other.owner} ${other.where}`,
    fix: `take it from ${other.owner} first (\`muster node show ${other.owner}\`), or give ${owner} another one`,
  };
}
