import { type Static, Type } from "typebox";

import type { ApiDependencies } from "./api-dependencies.ts";
import { listNodeGroups } from "./plan-node-groups.ts";
import { REFUSALS } from "./schemas.ts";
import { gatherGroupFacts, resolveNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

const NodeSetView = Type.Object({
  names: Type.Array(Type.String(), { description: "in the order in which the set names them" }),
});
export type NodeSetView = Static<typeof NodeSetView>;

const GroupList = Type.Object({
  groups: Type.Array(
    Type.Object({
      name: Type.String({ description: "as in a node set, without its @" }),
      count: Type.Integer({ minimum: 0, description: "nodes in it now" }),
    }),
  ),
});
export type GroupList = Static<typeof GroupList>;

/** What node sets with groups and wildcards stand for now. */
export function addNodeSetRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.get(
    "/api/v1/node-sets",
    {
      schema: {
        summary: "The names that a node set stands for now, whether there are such nodes or not",
        querystring: Type.Object({
          names: Type.String({ minLength: 1, description: "a node set: @profile:gpu!c[001-064]" }),
        }),
        response: { 200: NodeSetView, ...REFUSALS },
      },
    },
    async ({ query: { names } }) => ({ names: [...(await resolveNodeSet(deps, names))] }),
  );

  api.get(
    "/api/v1/node-groups",
    { schema: { summary: "Groups that node sets can name", response: { 200: GroupList, ...REFUSALS } } },
    async () => ({ groups: [...listNodeGroups(await gatherGroupFacts(deps))] }),
  );
}
