import { type Static, Type } from "typebox";

import { compareNodeNames, parseNodeSet } from "#proto/contract/node-set.ts";

import { findHostKeys } from "../../overlays/build-system-overlay.ts";
import { findPrimaryDevice } from "../../overlays/render-node-files.ts";
import { renderOpensshKey } from "../../overlays/render-openssh-key.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { selectNodes } from "./node-routes.ts";
import { NODE_STATE, REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

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
export function addSshRoutes(api: TypedApi, { inventory, fleet }: ApiDependencies): void {
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
      const nodes = selectNodes(await inventory.listNodes(), parseNodeSet(names));
      const targets: SshTarget[] = [];
      for (const node of nodes.toSorted((a, b) => compareNodeNames(a.name, b.name))) {
        // Half a millisecond for each node: others have their turn between two.
        await new Promise(setImmediate);
        const { ed25519, ecdsa } = await findHostKeys(inventory, node.name);
        const { state, address: seenAt } = fleet.statusOf(node.name);
        const address = findPrimaryDevice(node)?.address ?? seenAt;
        targets.push({
          node: node.name,
          state,
          ...(address === undefined ? {} : { address }),
          hostKeys: [ed25519, ecdsa].map((key) => renderOpensshKey(key, "").publicKey.trim()),
        });
      }
      return { targets };
    },
  );
}
