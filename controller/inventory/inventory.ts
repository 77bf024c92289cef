import type { Digest } from "#proto/contract/digest.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { EffectiveDevice, EffectiveFields } from "../fields/effective-node.ts";
import type {
  ChangeDetails,
  ChangeSummary,
  CommittedChange,
  InventoryState,
  RecordChange,
  RecordKind,
} from "./changes.ts";

/** A network device of a node. Exactly the first device with a MAC is the one the node boots from. */
export type NetworkDevice = EffectiveDevice;

/** What a node is with its profiles, filled in. */
export type NodeFields = EffectiveFields;

/** What identifies the machine behind a node: learned at enrolment. */
export interface MachineId {
  readonly smbiosUuid?: string;
  readonly serial?: string;
}

export interface Node extends NodeFields {
  readonly name: NodeName;
  /** Of its record: grows with each change of what is written of it, not with those of its profiles. */
  readonly revision: number;
  readonly machine: MachineId;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What an image version's kernel can do, found in its configuration at import. */
export interface KernelFeatures {
  readonly initramfsCompression: "zstd" | "xz" | "gzip";
  readonly squashfsCompression: "zstd" | "xz" | "gzip";
}

export interface BlobReference {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** One immutable version of an image. Versions count from 1. */
export interface ImageVersion {
  readonly image: string;
  readonly version: number;
  readonly kernelRelease: string;
  readonly architecture: "x86_64" | "aarch64";
  readonly features: KernelFeatures;
  readonly kernel: BlobReference;
  /** cpio with the kernel's modules. */
  readonly modules: BlobReference;
  /** squashfs layers, lowest first. */
  readonly layers: readonly BlobReference[];
  readonly createdAt: Date;
  /** Where it was imported from, for people. */
  readonly source: string;
}

export interface Image {
  readonly name: string;
  readonly versions: readonly ImageVersion[];
  /** Channel name -> version. Every image has `stable` once it has a version. */
  readonly channels: Readonly<Record<string, number>>;
}

/** A machine that asked to enrol and that nobody knows. */
export interface PendingMachine {
  readonly claimCode: string;
  /** Key of the machine: SMBIOS UUID and boot MAC. One pending entry per machine. */
  readonly machineKey: string;
  readonly bootMac: MacAddress;
  readonly macs: readonly MacAddress[];
  readonly smbiosUuid: string;
  readonly serial: string;
  readonly vendor: string;
  readonly product: string;
  readonly architecture: string;
  readonly firmware: string;
  readonly cpus: number;
  readonly sockets: number;
  readonly memoryBytes: number;
  readonly cpuModel: string;
  /** Source address of its enrolment. */
  readonly address: string;
  /** Hash of the key it asked with last: an approval is for this key, also while its stream is broken. Not shown. */
  readonly keyHash?: string;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
}

/** An enrolment token as stored: its SHA-256, never itself. */
export interface StoredToken {
  readonly hash: string;
  readonly node: NodeName;
  readonly bootMac: MacAddress;
  readonly sourceAddress: string;
  readonly expiresAt: Date;
}

/** The identity a node was last given. Older ones of the same node are void. */
export interface NodeIdentity {
  readonly node: NodeName;
  readonly bootId: string;
  /** SHA-256 of the public key (SPKI, DER) in hex. */
  readonly keyHash: string;
  readonly certificateSerial: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** What a machine said it is, in one boot of it. */
export interface StoredHardware {
  readonly node: NodeName;
  readonly bootId: string;
  /** Of the report as the node sent it: what both sides compare. */
  readonly digest: Digest;
  readonly report: HardwareReport;
  /** When it last said so in this boot. */
  readonly reportedAt: Date;
}

/** A boot whose identity is void: the node enrolled again, was revoked, or was deleted. */
export interface DeniedBoot {
  readonly node: NodeName;
  readonly bootId: string;
  /** Nothing that was sealed for the boot is good for longer. */
  readonly until: Date;
  /** A sentence for whoever is turned away. */
  readonly why: string;
}

/** A machine that another took the place of: it gets no boot script and no identity until it is readmitted. */
export interface RefusedMachine {
  /** The one it booted with, by which people name it. */
  readonly mac: MacAddress;
  /** All that are known of it, that one included. */
  readonly macs: readonly MacAddress[];
  readonly smbiosUuid?: string;
  readonly serial?: string;
  /** The node it was. */
  readonly node: NodeName;
  /** Who replaced it. */
  readonly user: string;
  readonly reason?: string;
  readonly at: Date;
}

/** What people should look at, until they say that they have. */
export interface NodeAlert {
  readonly node: NodeName;
  /** The kind of the event: "impostor". */
  readonly kind: string;
  readonly what: string;
  readonly at: Date;
}

/** How long a boot stays denied: no ticket may be sealed for longer. */
export const DENIED_SECONDS = 24 * 3600;

export interface ApiToken {
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt?: Date;
}

/** Who changes something, for the history. */
export interface Author {
  /** "root", "token:ci", "enrolment". */
  readonly user: string;
  /** IP address the user works from; undefined on the controller itself. */
  readonly address?: string;
  readonly reason?: string;
}

/** A node at the revision that somebody saw. */
export interface SeenNode {
  readonly name: NodeName;
  readonly revision: number;
}

export interface CommitOptions {
  /** Everything is checked, nothing is written. */
  readonly dryRun?: boolean;
  /** Overlays there are: others are refused, but for those a record has already. Absent: not looked at. */
  readonly overlays?: ReadonlySet<string>;
}

export interface ChangeQuery {
  /** Of one record; `kind` is that of nodes unless it is given. */
  readonly name?: string;
  readonly kind?: RecordKind;
  readonly limit: number;
  /** Only changes with lower numbers. */
  readonly before?: number;
}

/**
 * The inventory: everything that must survive. Each method is one transaction; when it returns, the change is
 * on disk. Errors: `node-unknown`, `node-exists`, `mac-in-use`, `address-in-use`, `revision-stale`,
 * `image-unknown`, `image-in-use`, `machine-not-pending`, `database-unusable`, `disk-full`.
 */
export interface Inventory extends AsyncDisposable {
  /**
   * The one way in which people change nodes and profiles: all of it or nothing. What is wrong with it is said whole, as
   * {@link ChangeRefused}: `revision-stale`, `node-exists`, `profile-exists`, `profile-unknown`, `profile-cycle`,
   * `profile-in-use`, `image-unknown`, `overlay-unknown`, `mac-in-use`, `address-in-use`, `request-invalid`.
   */
  commit(changes: readonly RecordChange[], author: Author, options?: CommitOptions): Promise<CommittedChange>;
  /** All records as written, in natural order of their names; the same object until one changes. */
  listRecords(): Promise<InventoryState>;
  /** As they were after the last change until a time, or right after the change of a number; their revisions are 0. */
  stateAt(at: Date | number): Promise<InventoryState>;
  /** Newest first. Of one record: its history also under the names it had before. */
  listChanges(query: ChangeQuery): Promise<readonly ChangeSummary[]>;
  findChange(id: number): Promise<ChangeDetails | undefined>;
  /** Called after each change that {@link commit} or one of its relatives committed (in this process), in order. Returns the unsubscribe. */
  onCommitted(listener: (change: ChangeDetails) => void): () => void;

  listNodes(): Promise<readonly Node[]>;
  findNode(name: string): Promise<Node | undefined>;
  findNodeByMac(mac: MacAddress): Promise<Node | undefined>;
  addNodes(
    nodes: readonly { readonly name: NodeName; readonly fields: NodeFields; readonly machine?: MachineId }[],
    author: Author,
  ): Promise<readonly Node[]>;
  /** All or none; `revision` is the one the author saw. */
  updateNodes(
    updates: readonly { readonly name: NodeName; readonly revision: number; readonly fields: NodeFields }[],
    author: Author,
  ): Promise<readonly Node[]>;
  recordMachine(name: NodeName, machine: MachineId): Promise<void>;
  /** Deletes the node with its identity, secrets and tokens. */
  deleteNodes(names: readonly NodeName[], author: Author): Promise<void>;

  listImages(): Promise<readonly Image[]>;
  findImage(name: string): Promise<Image | undefined>;
  /** Adds the next version and moves channel `stable` to it. */
  addImageVersion(
    version: Omit<ImageVersion, "version" | "createdAt">,
    author: Author,
  ): Promise<ImageVersion>;
  setChannel(image: string, channel: string, version: number, author: Author): Promise<void>;
  /** `image-in-use` when a node names it or its channel points at the version. Without version: the whole image. */
  deleteImage(image: string, version: number | undefined, author: Author): Promise<void>;
  /** Every blob any image version refers to. */
  listReferencedBlobs(): Promise<readonly Digest[]>;

  /** Creates the pending entry or refreshes the one with the same machineKey, keeping its claim code. */
  recordPending(
    machine: Omit<PendingMachine, "firstSeenAt" | "lastSeenAt">,
    now: Date,
  ): Promise<PendingMachine>;
  listPending(): Promise<readonly PendingMachine[]>;
  /** One transaction: the pending entry goes, the node comes (or, when it exists without that MAC, gains the device). */
  approvePending(
    claimCode: string,
    node: { readonly name: NodeName; readonly fields: NodeFields },
    author: Author,
  ): Promise<Node>;
  deletePending(claimCode: string): Promise<void>;

  /** Unused tokens of the same node, MAC and address are void from then on. */
  storeToken(token: StoredToken): Promise<void>;
  /** A token's bindings, whatever its state, without using it up; undefined when unknown or pruned. */
  findToken(hash: string): Promise<StoredToken | undefined>;
  /**
   * Uses a token up, atomically. The first key to present it owns it: the same key may present it again
   * (an agent that lost the answer), any other gets "used".
   */
  consumeToken(
    hash: string,
    keyHash: string,
    now: Date,
  ): Promise<StoredToken | "unknown" | "used" | "expired">;
  /** Forgets tokens and denied boots that are past. */
  pruneTokens(now: Date): Promise<void>;

  /** The node's earlier boot, if it was another, is denied from then on. `certificate-refused` for a denied boot. */
  recordIdentity(identity: NodeIdentity): Promise<void>;
  findIdentity(node: NodeName): Promise<NodeIdentity | undefined>;

  /** Voids the identities and tokens the nodes have now; nodes without are no error. Returns the boots denied by it. */
  revokeIdentities(names: readonly NodeName[], author: Author): Promise<readonly DeniedBoot[]>;
  /** Those that are denied now. */
  listDeniedBoots(): Promise<readonly DeniedBoot[]>;
  findDeniedBoot(node: NodeName, bootId: string): Promise<DeniedBoot | undefined>;
  /** Called after each commit that denied boots (in this process). Returns the unsubscribe. */
  onBootsDenied(listener: (boots: readonly DeniedBoot[]) => void): () => void;

  /**
   * Another machine is the node from now on, in one change: its boot device gets the MAC, what was learned of the machine
   * that was is forgotten, its identity is void, and it is refused from then on. `mac-in-use`.
   */
  replaceMachine(
    node: NodeName,
    by: { readonly mac: MacAddress; readonly serial?: string; readonly revision: number },
    author: Author,
    options?: Pick<CommitOptions, "dryRun">,
  ): Promise<CommittedChange>;
  /** The machines behind two nodes are exchanged, in one change; both identities are void. */
  swapMachines(
    nodes: readonly [SeenNode, SeenNode],
    author: Author,
    options?: Pick<CommitOptions, "dryRun">,
  ): Promise<CommittedChange>;
  /** In order of their time. */
  listRefusedMachines(): Promise<readonly RefusedMachine[]>;
  /** Lets what is refused under this MAC ask again. Returns what was; `not-found`. */
  readmitMachine(mac: MacAddress, author: Author): Promise<void>;

  /** The latest of a node replaces the one before. `node-unknown`. */
  putAlert(alert: NodeAlert): Promise<void>;
  listAlerts(): Promise<readonly NodeAlert[]>;
  /** Returns those that were there. */
  clearAlerts(names: readonly NodeName[], author: Author): Promise<readonly NodeAlert[]>;

  /** A secret kept for a node, made on first use: for example its ssh host keys. */
  findOrCreateSecret(node: NodeName, name: string, create: () => Promise<Uint8Array>): Promise<Uint8Array>;

  /**
   * Keeps what machines are, for the last five boots of each; equal reports of one node are kept once. The result has
   * for each report the one that was the node's last known, when that is another one; undefined otherwise, and for a
   * node that is gone by now.
   */
  recordHardware(reports: readonly StoredHardware[]): Promise<readonly (HardwareReport | undefined)[]>;
  /** Digest of what a node reported in this boot; undefined: nothing yet. */
  findHardwareDigest(node: NodeName, bootId: string): Promise<Digest | undefined>;
  /** The last `boots` reports of each of the nodes, newest first within a node; nodes without one have none. */
  listHardware(nodes: readonly NodeName[], boots: number): Promise<readonly StoredHardware[]>;

  addApiToken(name: string, hash: string): Promise<void>;
  useApiToken(hash: string, now: Date): Promise<ApiToken | undefined>;
  listApiTokens(): Promise<readonly ApiToken[]>;
  deleteApiToken(name: string): Promise<void>;

  /** Called after each committed change of a node (in this process). Returns the unsubscribe. */
  onNodesChanged(listener: () => void): () => void;
}
