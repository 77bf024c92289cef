import { type Static, Type } from "typebox";

import { compareNodeNames } from "#proto/contract/node-set.ts";

import type { Node } from "../../inventory/inventory.ts";
import { findHostKeys } from "../../overlays/build-system-overlay.ts";
import { findPrimaryDevice } from "../../overlays/render-node-files.ts";
import { renderOpensshKey } from "../../overlays/render-openssh-key.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { NODE_STATE, REFUSALS } from "./schemas.ts";
import { selectNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

/** The keys of nodes that never booted are made now; those of a group are written together. */
const NODES_AT_ONCE = 16;

const SshTarget = Type.Object({
  node: Type.String(),
  state: NODE_STATE,
  address: Type.Optional(Type.String({ description: "of the inventory, or the one it was last seen at" })),
  hostKeys: Type.Array(Type.String(), {
    description: 'public keys as in known_hosts: "ssh-ed25519 AAAA..."',
  }),
});
export type SshTarget = Static<typeof SshTarget>;
const SshTargets = Type.Object({ targets: Type.Array(SshTarget) });
export type SshTargets = Static<typeof SshTargets>;

/** What it takes to reach the sshd of nodes, and to know that it is theirs. */
export function addSshRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory, fleet } = deps;

  async function targetOf(node: Node): Promise<SshTarget> {
    const { ed25519, ecdsa } = await findHostKeys(inventory, node.name);
    const { state, address: seenAt } = fleet.statusOf(node.name);
    const address = findPrimaryDevice(node)?.address ?? seenAt;
    return {
      node: node.name,
      state,
      ...(address === undefined ? {} : { address }),
      hostKeys: [ed25519, ecdsa].map((key) => renderOpensshKey(key, "").publicKey.trim()),
    };
  }

  api.get(
    "/api/v1/ssh-targets",
    {
      schema: {
        summary: "Addresses and public ssh host keys of nodes",
        querystring: Type.Object({ names: Type.String({ description: "a node set" }) }),
        response: { 200: SshTargets, ...REFUSALS },
      },
    },
    async ({ query: { names } }) => {
      const nodes = (await selectNodeSet(deps, names)).toSorted((a, b) => compareNodeNames(a.name, b.name));
      const targets: SshTarget[] = [];
      for (let at = 0; at < nodes.length; at += NODES_AT_ONCE) {
        // A millisecond for each node: others have their turn between two groups.
        await new Promise(setImmediate);
        targets.push(...(await Promise.all(nodes.slice(at, at + NODES_AT_ONCE).map(targetOf))));
      }
      return { targets };
    },
  );
}
