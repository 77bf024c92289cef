import { type Static, Type } from "typebox";

/** The words of the REST API for records as written (not merged), changes and history. */
const STRICT = { additionalProperties: false } as const;
const Text = Type.String();
const RecordKind = Type.Enum(["node", "profile"]);
const FieldsView = Type.Unsafe<object>({
  type: "object",
  additionalProperties: true,
  description: "fields as written, see docs/fields.md; secrets are shown as (kept) unless asked for",
});

export const RecordView = Type.Object({
  kind: RecordKind,
  name: Text,
  revision: Type.Integer(),
  fields: FieldsView,
});
export type RecordView = Static<typeof RecordView>;

/** GET /api/v1/inventory: records as written, in natural order of their names. */
export const InventoryQuery = Type.Object({
  nodes: Type.Optional(
    Type.String({ description: "a node set; absent: all nodes. Profiles are always all" }),
  ),
  at: Type.Optional(
    Type.String({
      description: "as it was at this time, ISO 8601, or right after `change 17`; its revisions are 0",
    }),
  ),
  secrets: Type.Optional(Type.Boolean({ description: "with secrets in clear" })),
});
export const InventoryView = Type.Object({
  nodes: Type.Array(RecordView),
  profiles: Type.Array(RecordView),
});
export type InventoryView = Static<typeof InventoryView>;

/** POST /api/v1/changes: all or none. */
export const ChangeRequest = Type.Object(
  {
    changes: Type.Array(
      Type.Object(
        {
          kind: RecordKind,
          name: Text,
          revision: Type.Integer({ minimum: 0, description: "the one you saw; 0: it must not exist yet" }),
          fields: Type.Union([FieldsView, Type.Null()], {
            description: "all its fields from now on; null: it is deleted",
          }),
          renameTo: Type.Optional(Text),
        },
        STRICT,
      ),
      { minItems: 1, maxItems: 50_000 },
    ),
    reason: Type.Optional(Type.String({ maxLength: 4096 })),
    dryRun: Type.Optional(Type.Boolean({ description: "check everything, commit nothing" })),
  },
  STRICT,
);
export type ChangeRequest = Static<typeof ChangeRequest>;

export const ChangeAnswer = Type.Object({
  id: Type.Optional(
    Type.Integer({ description: "number of the change in the history; absent: nothing differed" }),
  ),
  records: Type.Array(RecordView),
});
export type ChangeAnswer = Static<typeof ChangeAnswer>;

export const ChangeSummaryView = Type.Object({
  id: Type.Integer(),
  at: Type.String({ format: "date-time" }),
  user: Text,
  address: Type.Optional(Text),
  reason: Type.Optional(Text),
  groups: Type.Array(
    Type.Object({
      kind: Text,
      names: Type.String({ description: "nodes folded, others with commas" }),
      count: Type.Integer(),
      action: Type.Enum(["added", "changed", "deleted", "renamed"]),
      renamedTo: Type.Optional(Text),
      fields: Type.Array(Text, { description: "what was changed" }),
    }),
    { description: "what it did, in short" },
  ),
});
export type ChangeSummaryView = Static<typeof ChangeSummaryView>;

/** GET /api/v1/changes?node=&profile=&limit=&before=: newest first. */
export const ChangeList = Type.Object({ changes: Type.Array(ChangeSummaryView) });
export type ChangeList = Static<typeof ChangeList>;

/** GET /api/v1/changes/:id. */
export const ChangeDetailsView = Type.Object({
  ...ChangeSummaryView.properties,
  effects: Type.Array(
    Type.Object({
      kind: Text,
      name: Text,
      before: Type.Optional(Type.Unsafe<object>({ type: "object", additionalProperties: true })),
      after: Type.Optional(Type.Unsafe<object>({ type: "object", additionalProperties: true })),
      renamedTo: Type.Optional(Type.String({ description: "it was called `name` before" })),
    }),
  ),
});
export type ChangeDetailsView = Static<typeof ChangeDetailsView>;
