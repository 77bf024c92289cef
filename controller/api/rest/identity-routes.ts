import { type Static, Type } from "typebox";

import type { ApiDependencies } from "./api-dependencies.ts";
import { REFUSALS } from "./schemas.ts";
import { selectNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

const STRICT = { additionalProperties: false } as const;
const Names = Type.Array(Type.String());
const NodeSet = Type.String({ minLength: 1, description: "a node set: c[001-064],login" });

const Revocation = Type.Object(
  {
    names: NodeSet,
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: "^[^\\p{Cc}]*$" })),
  },
  STRICT,
);
const RevocationResult = Type.Object({
  revoked: Names,
  without: Type.Array(Type.String(), { description: "nodes that had no identity: they are not booted" }),
});
export type RevocationResult = Static<typeof RevocationResult>;

const ClearedAlerts = Type.Object({ cleared: Names });
export type ClearedAlerts = Static<typeof ClearedAlerts>;

/** Who nodes are: voiding it, and settling who they are not. */
export function addIdentityRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.post(
    "/api/v1/nodes/revoke",
    {
      schema: {
        summary: "Void the identity of the nodes' present boots, at once",
        body: Revocation,
        response: { 200: RevocationResult, ...REFUSALS },
      },
    },
    async ({ body: { names, reason }, author }) => {
      const chosen = (await selectNodeSet(deps, names)).map(({ name }) => name);
      const by = reason === undefined ? author : { ...author, reason };
      const denied = await deps.inventory.revokeIdentities(chosen, by);
      for (const { node, why } of denied) {
        deps.telemetry.recordEvent({
          severity: "warning",
          kind: "identity-revoked",
          node,
          what: why,
          fix: `power-cycle ${node} when it may come back, or delete it`,
        });
      }
      const revoked = new Set<string>(denied.map(({ node }) => node));
      return {
        revoked: chosen.filter((name) => revoked.has(name)),
        without: chosen.filter((name) => !revoked.has(name)),
      };
    },
  );

  api.post(
    "/api/v1/nodes/clear-alerts",
    {
      schema: {
        summary: "What the nodes' alerts told of is settled",
        body: Type.Object({ names: NodeSet }, STRICT),
        response: { 200: ClearedAlerts, ...REFUSALS },
      },
    },
    async ({ body: { names }, author }) => {
      const chosen = (await selectNodeSet(deps, names)).map(({ name }) => name);
      return { cleared: [...(await deps.impostors.clear(chosen, author))] };
    },
  );
}
