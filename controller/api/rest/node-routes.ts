import { Type } from "typebox";

import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";

import type { RecordChange } from "../../inventory/changes.ts";
import type { Author, Node } from "../../inventory/inventory.ts";
import type { NodeState } from "../../sessions/fleet.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { overlayTrouble, refuseUnknownOverlays } from "./present-overlays.ts";
import { givenFields, planNodeChanges } from "./plan-node-changes.ts";
import { presentNode, presentNodeInList, presentNodeSummary, type ShownStatus } from "./present.ts";
import { type RequestFinding, requestInvalid } from "./request-error.ts";
import {
  NameParam,
  NODE_STATE,
  type NodeChanges,
  NodeList,
  type NodeSummary,
  NodeSummaryList,
  NodesToAdd,
  NodeUpdate,
  NodeUpdates,
  NodeView,
  Nothing,
  REFUSALS,
} from "./schemas.ts";
import { filterNodeSet, selectNodeSet, unknownNodes } from "./select-node-set.ts";
import { presentEach, sendLists } from "./send-lists.ts";
import type { TypedApi } from "./typed-api.ts";
import { validateNodeFields } from "./validate-node-fields.ts";

/** A change of one node, made by someone who saw `revision`. */
interface Update {
  readonly name: string;
  readonly revision: number;
  readonly changes: NodeChanges;
}

export function addNodeRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory } = deps;
  const inList = (node: Node): NodeView => presentNodeInList(node, statusOf(deps, node));

  const ListQuery = Type.Object({
    names: Type.Optional(Type.String({ description: "a node set: c[001-064],login" })),
    state: Type.Optional(NODE_STATE),
  });
  api.get(
    "/api/v1/nodes",
    { schema: { summary: "List nodes", querystring: ListQuery, response: { 200: NodeList, ...REFUSALS } } },
    async ({ query }, reply) => {
      const chosen = await chooseNodes(deps, query);
      return sendLists(reply, { nodes: presentEach(chosen, inList) });
    },
  );

  api.get(
    "/api/v1/node-summaries",
    {
      schema: {
        summary: "What `muster node list` shows: of each node what it is doing, and nothing else",
        querystring: ListQuery,
        response: { 200: NodeSummaryList, ...REFUSALS },
      },
    },
    async ({ query }, reply) => {
      const chosen = await chooseNodes(deps, query);
      const summary = (node: Node): NodeSummary => presentNodeSummary(node, statusOf(deps, node));
      return sendLists(reply, { nodes: presentEach(chosen, summary) });
    },
  );

  api.post(
    "/api/v1/nodes",
    {
      schema: {
        summary: "Add nodes, all or none",
        body: NodesToAdd,
        response: { 201: NodeList, ...REFUSALS },
      },
    },
    async ({ body, author }, reply) => {
      const findings: RequestFinding[] = [];
      const nodes = body.nodes.flatMap(({ name, fields }, index) => {
        const at = `nodes[${index}]`;
        const checked = validateNodeFields(fields, `${at}.fields`);
        findings.push(...checked.findings);
        const parsed = readName(name, `${at}.name`, findings);
        return parsed === undefined ? [] : [{ name: parsed, fields: checked.fields }];
      });
      if (findings.length > 0) throw requestInvalid(findings);
      await refuseUnknownOverlays(
        deps,
        nodes.map(({ fields }) => fields),
      );
      const added = await inventory.addNodes(nodes, author);
      return reply.code(201).send({ nodes: added.map(inList) });
    },
  );

  api.patch(
    "/api/v1/nodes",
    {
      schema: {
        summary: "Change nodes, all or none",
        body: NodeUpdates,
        response: { 200: NodeList, ...REFUSALS },
      },
    },
    async ({ body, author }) => {
      const changed = await updateNodes(deps, body.updates, author);
      return { nodes: changed.map(inList) };
    },
  );

  api.delete(
    "/api/v1/nodes",
    {
      schema: {
        summary: "Delete nodes, all or none",
        querystring: Type.Object({ names: Type.String({ description: "a node set" }) }),
        response: { 204: Nothing, ...REFUSALS },
      },
    },
    async ({ query, author }, reply) => {
      const chosen = await selectNodeSet(deps, query.names);
      await inventory.deleteNodes(
        chosen.map(({ name }) => name),
        author,
      );
      return reply.code(204).send(null);
    },
  );

  api.get(
    "/api/v1/nodes/:name",
    { schema: { summary: "One node", params: NameParam, response: { 200: NodeView, ...REFUSALS } } },
    async ({ params }) => {
      const node = await knownNode(deps, params.name);
      return presentNode(node, statusOf(deps, node));
    },
  );

  api.patch(
    "/api/v1/nodes/:name",
    {
      schema: {
        summary: "Change one node; `revision` is the one you saw",
        params: NameParam,
        body: NodeUpdate,
        response: { 200: NodeView, ...REFUSALS },
      },
    },
    async ({ params, body, author }) => {
      const [node] = await updateNodes(deps, [{ name: params.name, ...body }], author);
      if (node === undefined) throw new Error(`update of ${params.name} gave no node`);
      return presentNode(node, statusOf(deps, node));
    },
  );

  api.delete(
    "/api/v1/nodes/:name",
    { schema: { summary: "Delete one node", params: NameParam, response: { 204: Nothing, ...REFUSALS } } },
    async ({ params, author }, reply) => {
      const node = await knownNode(deps, params.name);
      await inventory.deleteNodes([node.name], author);
      return reply.code(204).send(null);
    },
  );
}

/** In natural order of their names. */
async function chooseNodes(
  deps: ApiDependencies,
  { names, state }: { readonly names?: string; readonly state?: NodeState },
): Promise<readonly Node[]> {
  const chosen =
    names === undefined
      ? await deps.inventory.listNodes()
      : (await filterNodeSet(deps, names)).toSorted((a, b) => compareNodeNames(a.name, b.name));
  return state === undefined
    ? chosen
    : chosen.filter(({ name }) => deps.fleet.statusOf(name).state === state);
}

function statusOf({ fleet, runtimeOverlays }: ApiDependencies, { name }: Node): ShownStatus {
  const trouble = overlayTrouble(runtimeOverlays.statusOf(name));
  return { ...fleet.statusOf(name), ...(trouble === undefined ? {} : { overlayTrouble: trouble }) };
}

/** Reads a node's name; a bad one is a finding. */
function readName(text: string, at: string, findings: RequestFinding[]): NodeName | undefined {
  try {
    return parseNodeName(text);
  } catch (error) {
    findings.push({ at, what: error instanceof Error ? error.message : "is not a node name" });
    return undefined;
  }
}

async function updateNodes(
  deps: ApiDependencies,
  updates: readonly Update[],
  author: Author,
): Promise<readonly Node[]> {
  const { nodes } = await deps.inventory.listRecords();
  const written = new Map(nodes.map(({ name, fields }) => [name, fields]));
  const findings: RequestFinding[] = [];
  const changes = updates.map(({ name, revision, changes: wanted }, index): RecordChange => {
    const own = written.get(name) ?? throwUnknown([name], written.keys());
    const given = validateNodeFields(
      givenFields(wanted),
      updates.length === 1 ? "" : `updates[${index}].changes`,
    );
    findings.push(...given.findings);
    return { kind: "node", name, revision, fields: planNodeChanges(own, wanted, given.fields) };
  });
  if (findings.length > 0) throw requestInvalid(findings);
  const overlays = new Set((await deps.listOverlays()).map(({ name }) => name));
  await deps.inventory.commit(changes, author, { overlays });
  return nodesNamed(deps, updates);
}

/** As they are now; one that somebody has deleted since is left out. */
async function nodesNamed(
  { inventory }: ApiDependencies,
  names: readonly { readonly name: string }[],
): Promise<readonly Node[]> {
  const found = await Promise.all(names.map(async ({ name }) => inventory.findNode(name)));
  return found.flatMap((node) => node ?? []);
}

/** `node-unknown`, with the names that may have been meant, when there is none of that name. */
export async function knownNode(deps: ApiDependencies, name: string): Promise<Node> {
  const node = await deps.inventory.findNode(name);
  if (node !== undefined) return node;
  return throwUnknown(
    [name],
    (await deps.inventory.listNodes()).map((other) => other.name),
  );
}

function throwUnknown(names: readonly string[], known: Iterable<string>): never {
  throw unknownNodes(names, known);
}
