import { Type } from "typebox";

import type { Fields } from "../../fields/fields.ts";
import { redactSecrets } from "../../fields/keep-secrets.ts";
import type {
  ChangeSummary,
  InventoryRecord,
  RecordChange,
  RecordedEffect,
} from "../../inventory/changes.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { presentRecord } from "./inventory-routes.ts";
import {
  ChangeAnswer,
  ChangeDetailsView,
  ChangeList,
  ChangeRequest,
  type ChangeSummaryView,
  type RecordView,
} from "./inventory-schemas.ts";
import { unknownChange } from "./request-error.ts";
import { REFUSALS } from "./schemas.ts";
import { presentEach, sendLists } from "./send-lists.ts";
import type { TypedApi } from "./typed-api.ts";

type EffectView = ChangeDetailsView["effects"][number];

/** A whole inventory of 50,000 nodes fits. */
const BODY_LIMIT_BYTES = 128 * 1024 * 1024;
const DEFAULT_CHANGES = 50;
const MAX_CHANGES = 1000;

/** How nodes and profiles are changed, and what was changed. */
export function addChangeRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory } = deps;

  api.post(
    "/api/v1/changes",
    {
      bodyLimit: BODY_LIMIT_BYTES,
      schema: {
        summary: "Change nodes and profiles, all or none",
        description:
          "Each record is named with the revision you saw. Where another is there by now, nothing is changed: 409 revision-stale, " +
          "with the records as they are in error.current and your changes of them in error.yours, in the same order.",
        body: ChangeRequest,
        response: { 200: ChangeAnswer, ...REFUSALS },
      },
    },
    async ({ body: { changes: given, reason, dryRun = false }, author }, reply) => {
      const changes = given.map(
        ({ fields, ...rest }): RecordChange => ({
          ...rest,
          // Checked field by field where it is committed.
          fields: fields === null ? undefined : (fields as Fields),
        }),
      );
      const overlays = new Set((await deps.listOverlays()).map(({ name }) => name));
      const { id, records } = await inventory.commit(
        changes,
        reason === undefined ? author : { ...author, reason },
        { dryRun, overlays },
      );
      const present = (record: InventoryRecord): RecordView => presentRecord(record, false);
      return sendLists(reply, { records: presentEach(records, present) }, id === undefined ? {} : { id });
    },
  );

  api.get(
    "/api/v1/changes",
    {
      schema: {
        summary: "What was changed, newest first",
        description:
          "What machines were found to be at their first boot is told only of the node that is asked for.",
        querystring: Type.Object({
          node: Type.Optional(Type.String()),
          profile: Type.Optional(Type.String()),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_CHANGES, default: DEFAULT_CHANGES })),
          before: Type.Optional(Type.Integer({ minimum: 1, description: "only changes with lower numbers" })),
        }),
        response: { 200: ChangeList, ...REFUSALS },
      },
    },
    async ({ query: { node, profile, limit = DEFAULT_CHANGES, before } }, reply) => {
      const changes = await inventory.listChanges({
        limit,
        ...(before === undefined ? {} : { before }),
        ...(node === undefined ? {} : { kind: "node", name: node }),
        ...(profile === undefined || node !== undefined ? {} : { kind: "profile", name: profile }),
      });
      reply.serializer(JSON.stringify);
      return { changes: changes.map(presentSummary) };
    },
  );

  api.get(
    "/api/v1/changes/:id",
    {
      schema: {
        summary: "One change, with all it did",
        params: Type.Object({ id: Type.Integer({ minimum: 1 }) }),
        querystring: Type.Object({
          secrets: Type.Optional(Type.Boolean({ description: "with secrets in clear" })),
        }),
        response: { 200: ChangeDetailsView, ...REFUSALS },
      },
    },
    async ({ params: { id }, query: { secrets = false } }, reply) => {
      const change = await inventory.findChange(id);
      if (change === undefined) throw unknownChange(id);
      const present = (effect: RecordedEffect): EffectView => presentEffect(effect, secrets);
      return sendLists(reply, { effects: presentEach(change.effects, present) }, presentSummary(change));
    },
  );
}

function presentSummary(change: ChangeSummary): ChangeSummaryView {
  const { id, at, user, address, reason, groups } = change;
  return {
    ...{ id, at: at.toISOString(), user },
    ...(address === undefined ? {} : { address }),
    ...(reason === undefined ? {} : { reason }),
    groups: groups.map((group) => ({ ...group, fields: [...group.fields] })),
  };
}

/** What was done to one thing, as the API shows it: without secrets unless they were asked for. */
function presentEffect(
  { kind, name, before, after, renamedTo }: RecordedEffect,
  withSecrets: boolean,
): EffectView {
  return {
    ...{ kind, name },
    ...(before === undefined ? {} : { before: presentContent(kind, before, withSecrets) }),
    ...(after === undefined ? {} : { after: presentContent(kind, after, withSecrets) }),
    ...(renamedTo === undefined ? {} : { renamedTo }),
  };
}

function presentContent(kind: RecordedEffect["kind"], content: object, withSecrets: boolean): object {
  return withSecrets || (kind !== "node" && kind !== "profile") ? content : redactSecrets(content);
}
