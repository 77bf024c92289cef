import { type Static, Type } from "typebox";

/** The words of the REST API. Times are ISO 8601 in UTC, sizes bytes, durations milliseconds. */
const STRICT = { additionalProperties: false } as const;
const Text = Type.String();
const Time = Type.String({ format: "date-time" });
const Count = Type.Integer({ minimum: 0 });

const ROOT_MODE = Type.Enum(["squashfs", "tmpfs"]);
const DEVICE_TYPE = Type.Enum(["ethernet", "infiniband", "bond", "vlan", "bridge"]);
export const NODE_STATE = Type.Enum(["new", "booting", "ready", "unreachable", "failed"]);
const SEVERITY = Type.Enum(["info", "warning", "error"]);
export const SNIPPET_FORMAT = Type.Enum(["dnsmasq", "isc", "kea"]);

export const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.String({ description: "stable word; codes are added, never renamed" }),
    what: Type.String({ description: "what failed" }),
    fix: Type.Optional(Type.String({ description: "what to do about it" })),
    findings: Type.Optional(
      Type.Array(Type.Object({ at: Text, what: Text, fix: Type.Optional(Text) }), {
        description: "everything wrong with the request",
      }),
    ),
    current: Type.Optional(Type.Unknown({ description: "revision-stale: what is there now" })),
    yours: Type.Optional(Type.Unknown({ description: "revision-stale: the change that was refused" })),
  }),
});
export type ErrorBody = Static<typeof ErrorBody>;

const DeviceView = Type.Object(
  {
    key: Type.Optional(
      Type.String({ description: "its name in the inventory, where that is another than the interface's" }),
    ),
    name: Text,
    type: DEVICE_TYPE,
    mac: Type.Optional(Text),
    address: Type.Optional(Text),
    netmask: Type.Optional(Text),
    gateway: Type.Optional(Text),
    mtu: Type.Optional(Type.Integer()),
  },
  { additionalProperties: true, description: "and what else fields of devices there are" },
);

/** A device as given: its type may be left out (ethernet). */
export const DeviceInput = Type.Object(
  {
    name: Text,
    type: Type.Optional(DEVICE_TYPE),
    mac: Type.Optional(Text),
    address: Type.Optional(Text),
    netmask: Type.Optional(Text),
    gateway: Type.Optional(Text),
    mtu: Type.Optional(Type.Integer()),
  },
  STRICT,
);
export type DeviceInput = Static<typeof DeviceInput>;

/** What an operator sets; what is left out is unset (POST) or kept (PATCH). */
export const NodeFieldsInput = Type.Object(
  {
    profiles: Type.Optional(
      Type.Array(Text, { description: "absent: profile default, when there is one of that name" }),
    ),
    image: Type.Optional(Text),
    rootMode: Type.Optional(ROOT_MODE),
    rootSizeBytes: Type.Optional(Type.Integer()),
    kernelArguments: Type.Optional(Type.Array(Text)),
    overlays: Type.Optional(Type.Array(Text)),
    runtimeOverlays: Type.Optional(Type.Array(Text)),
    tags: Type.Optional(Type.Record(Text, Text)),
    comment: Type.Optional(Text),
    devices: Type.Optional(Type.Array(DeviceInput)),
  },
  STRICT,
);
export type NodeFieldsInput = Static<typeof NodeFieldsInput>;

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** A change of a node: what is left out stays, null unsets (RFC 7396); lists are replaced, tags are merged. */
export const NodeChanges = Type.Object(
  {
    profiles: Type.Optional(Type.Array(Text)),
    image: Type.Optional(orNull(Text)),
    rootMode: Type.Optional(orNull(ROOT_MODE)),
    rootSizeBytes: Type.Optional(orNull(Type.Integer())),
    kernelArguments: Type.Optional(Type.Array(Text)),
    overlays: Type.Optional(Type.Array(Text)),
    runtimeOverlays: Type.Optional(Type.Array(Text)),
    tags: Type.Optional(Type.Record(Text, orNull(Text))),
    comment: Type.Optional(orNull(Text)),
    devices: Type.Optional(Type.Array(DeviceInput)),
  },
  STRICT,
);
export type NodeChanges = Static<typeof NodeChanges>;

const FailureView = Type.Object({
  stage: Text,
  code: Text,
  what: Text,
  fix: Text,
  kernelLogTail: Type.Optional(Text),
});

const StatusView = Type.Object({
  state: NODE_STATE,
  stage: Type.Optional(Text),
  bootId: Type.Optional(Text),
  address: Type.Optional(Text),
  image: Type.Optional(Text),
  imageVersion: Type.Optional(Type.Integer()),
  agentVersion: Type.Optional(Text),
  bootMs: Type.Optional(Type.Number()),
  lastSeenAt: Type.Optional(Time),
  failure: Type.Optional(FailureView),
  alert: Type.Optional(Type.Object({ kind: Text, what: Text, at: Time })),
  overlayTrouble: Type.Optional(Type.String({ description: "what is wrong with its runtime overlay" })),
});

export const NodeView = Type.Object(
  {
    name: Text,
    revision: Type.Integer(),
    profiles: Type.Optional(Type.Array(Text)),
    image: Type.Optional(Text),
    rootMode: Type.Optional(ROOT_MODE),
    rootSizeBytes: Type.Optional(Type.Integer()),
    kernelArguments: Type.Array(Text),
    overlays: Type.Array(Text),
    runtimeOverlays: Type.Array(Text),
    tags: Type.Record(Text, Text),
    comment: Type.Optional(Text),
    devices: Type.Array(DeviceView),
    machine: Type.Object({ smbiosUuid: Type.Optional(Text), serial: Type.Optional(Text) }),
    createdAt: Time,
    updatedAt: Time,
    status: StatusView,
  },
  {
    additionalProperties: true,
    description: "the node with its profiles, filled in; all fields there are, see docs/fields.md",
  },
);
export type NodeView = Static<typeof NodeView>;

/** What a list of nodes tells of each: the whole is five times as much to send and to read. */
export const NodeSummary = Type.Object({
  name: Text,
  image: Type.Optional(Text),
  address: Type.Optional(Type.String({ description: "the first in the inventory" })),
  status: Type.Omit(StatusView, ["failure"]),
});
export type NodeSummary = Static<typeof NodeSummary>;
export const NodeSummaryList = Type.Object({ nodes: Type.Array(NodeSummary) });
export type NodeSummaryList = Static<typeof NodeSummaryList>;

export const NodeList = Type.Object({ nodes: Type.Array(NodeView) });
export type NodeList = Static<typeof NodeList>;

export const NodesToAdd = Type.Object(
  {
    nodes: Type.Array(Type.Object({ name: Text, fields: NodeFieldsInput }, STRICT), {
      minItems: 1,
      maxItems: 20_000,
    }),
  },
  STRICT,
);
export const NodeUpdate = Type.Object(
  { revision: Type.Integer({ minimum: 0 }), changes: NodeChanges },
  STRICT,
);
export const NodeUpdates = Type.Object(
  {
    updates: Type.Array(
      Type.Object({ name: Text, revision: Type.Integer({ minimum: 0 }), changes: NodeChanges }, STRICT),
      { minItems: 1, maxItems: 20_000 },
    ),
  },
  STRICT,
);

export const PendingView = Type.Object({
  claimCode: Text,
  bootMac: Text,
  macs: Type.Array(Text),
  smbiosUuid: Text,
  serial: Text,
  vendor: Text,
  product: Text,
  architecture: Text,
  firmware: Text,
  cpus: Count,
  sockets: Count,
  memoryBytes: Count,
  cpuModel: Text,
  address: Text,
  firstSeenAt: Time,
  lastSeenAt: Time,
});
export type PendingView = Static<typeof PendingView>;
export const PendingList = Type.Object({ pending: Type.Array(PendingView) });
export const Approval = Type.Object({ name: Text, fields: Type.Optional(NodeFieldsInput) }, STRICT);

export const BlobView = Type.Object({ digest: Text, sizeBytes: Count });
export type BlobView = Static<typeof BlobView>;
const Compression = Type.Enum(["zstd", "xz", "gzip"]);

/** An image version to register: everything but what the controller gives it. */
export const ImageVersionInput = Type.Object(
  {
    kernelRelease: Type.String({ minLength: 1, maxLength: 256 }),
    architecture: Type.Enum(["x86_64", "aarch64"]),
    features: Type.Object({ initramfsCompression: Compression, squashfsCompression: Compression }, STRICT),
    kernel: BlobView,
    modules: BlobView,
    layers: Type.Array(BlobView, { minItems: 1, maxItems: 64 }),
    source: Type.String({ maxLength: 4096 }),
  },
  STRICT,
);
export type ImageVersionInput = Static<typeof ImageVersionInput>;

export const ImageVersionView = Type.Object({
  image: Text,
  version: Type.Integer(),
  kernelRelease: Text,
  architecture: Type.Enum(["x86_64", "aarch64"]),
  features: Type.Object({ initramfsCompression: Compression, squashfsCompression: Compression }),
  kernel: BlobView,
  modules: BlobView,
  layers: Type.Array(BlobView),
  createdAt: Time,
  source: Text,
});
export type ImageVersionView = Static<typeof ImageVersionView>;
export const ImageView = Type.Object({
  name: Text,
  versions: Type.Array(ImageVersionView),
  channels: Type.Record(Text, Type.Integer()),
});
export type ImageView = Static<typeof ImageView>;
export const ImageList = Type.Object({ images: Type.Array(ImageView) });
export const ChannelTarget = Type.Object({ version: Type.Integer({ minimum: 1 }) }, STRICT);

const StageView = Type.Object({
  stage: Text,
  startedMs: Type.Number(),
  endedMs: Type.Optional(Type.Number()),
  detail: Text,
});
export const BootView = Type.Object({
  bootId: Text,
  node: Type.Optional(Text),
  mac: Text,
  startedAt: Time,
  image: Type.Optional(Text),
  imageVersion: Type.Optional(Type.Integer()),
  outcome: Type.Enum(["booting", "ready", "failed", "abandoned"]),
  stages: Type.Array(StageView),
  readyAt: Type.Optional(Time),
  failure: Type.Optional(FailureView),
});
export type BootView = Static<typeof BootView>;
export const BootList = Type.Object({ boots: Type.Array(BootView) });

export const EventView = Type.Object({
  id: Type.Integer(),
  at: Time,
  severity: SEVERITY,
  kind: Text,
  node: Type.Optional(Text),
  what: Text,
  fix: Type.Optional(Text),
});
export type EventView = Static<typeof EventView>;
export const EventList = Type.Object({ events: Type.Array(EventView) });

export const FindingView = Type.Object({
  check: Text,
  status: Type.Enum(["ok", "warning", "error"]),
  what: Text,
  fix: Type.Optional(Text),
});
export type FindingView = Static<typeof FindingView>;
export const FindingList = Type.Object({ findings: Type.Array(FindingView) });

export const SiteStatus = Type.Object({
  version: Text,
  startedAt: Time,
  uptimeSeconds: Type.Number(),
  authorityFingerprint: Type.String({ description: "SHA-256 of the authority's certificate, hex" }),
  nodes: Type.Object({
    total: Count,
    new: Count,
    booting: Count,
    ready: Count,
    unreachable: Count,
    failed: Count,
  }),
  alerts: Type.Integer({ minimum: 0, description: "nodes that somebody should look at" }),
  pending: Count,
  images: Count,
});
export type SiteStatus = Static<typeof SiteStatus>;

export const TokenView = Type.Object({ name: Text, createdAt: Time, lastUsedAt: Type.Optional(Time) });
export type TokenView = Static<typeof TokenView>;
export const TokenList = Type.Object({ tokens: Type.Array(TokenView) });
export const NewToken = Type.Object({ name: Text }, STRICT);
export const CreatedToken = Type.Object({
  name: Text,
  token: Type.String({ description: "shown this once; only its SHA-256 is kept" }),
});

export const NameParam = Type.Object({ name: Text });
export const Nothing = Type.Null({ description: "done" });
/** What every route may answer besides its own. */
export const REFUSALS = { "4xx": ErrorBody, "5xx": ErrorBody } as const;
