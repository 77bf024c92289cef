import { Type } from "typebox";

import { parseNodeName } from "#proto/contract/node-name.ts";

import type { NodeFields } from "../../inventory/inventory.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { refuseUnknownOverlays } from "./present-overlays.ts";
import { presentNode, presentPending } from "./present.ts";
import { requestInvalid } from "./request-error.ts";
import { Approval, type NodeFieldsInput, NodeView, Nothing, PendingList, REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";
import { validateNodeFields } from "./validate-node-fields.ts";

const CodeParam = Type.Object({ code: Type.String() });

/** Machines that wait for someone to say who they are. */
export function addPendingRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.get(
    "/api/v1/pending",
    {
      schema: {
        summary: "Machines waiting for approval, first come first",
        response: { 200: PendingList, ...REFUSALS },
      },
    },
    async () => {
      const pending = await deps.inventory.listPending();
      return {
        pending: pending
          .toSorted((a, b) => a.firstSeenAt.getTime() - b.firstSeenAt.getTime())
          .map(presentPending),
      };
    },
  );

  api.post(
    "/api/v1/pending/:code/approve",
    {
      schema: {
        summary: "Make the machine a node; it boots on at once",
        params: CodeParam,
        body: Approval,
        response: { 200: NodeView, ...REFUSALS },
      },
    },
    async ({ params, body, author }) => {
      const name = parseNodeName(body.name);
      const fields = givenFields(body.fields ?? {});
      const { overlays = [], runtimeOverlays = [] } = fields;
      await refuseUnknownOverlays(deps, [{ overlays, runtimeOverlays }]);
      const node = await deps.enrolments.approve(readClaimCode(params.code), { name, fields }, author);
      return presentNode(node, deps.fleet.statusOf(node.name));
    },
  );

  api.delete(
    "/api/v1/pending/:code",
    {
      schema: {
        summary: "Turn the machine away",
        params: CodeParam,
        response: { 204: Nothing, ...REFUSALS },
      },
    },
    async ({ params, author }, reply) => {
      await deps.enrolments.reject(readClaimCode(params.code), author);
      return reply.code(204).send(null);
    },
  );
}

/** Claim codes are read off a console and typed: case and surrounding blanks do not matter. */
function readClaimCode(text: string): string {
  return text.trim().toUpperCase();
}

/** Only what was given: a node prepared before keeps the rest of its fields. */
function givenFields(input: NodeFieldsInput): Partial<NodeFields> {
  const { fields, findings } = validateNodeFields(input, "fields");
  if (findings.length > 0) throw requestInvalid(findings);
  return Object.fromEntries(Object.entries(fields).filter(([field]) => Object.hasOwn(input, field)));
}
