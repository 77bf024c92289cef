import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";

import { digestOfHex } from "#proto/contract/digest.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { OverlayEntry } from "#proto/gen/muster/v1/provisioning.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { BlobStore } from "../images/blob-store.ts";
import type { BlobReference, Inventory, Node } from "../inventory/inventory.ts";
import { MAX_INLINE_FILE_BYTES, type PlannedItem, planSystemOverlay } from "./plan-system-overlay.ts";
import { openOverlayReader } from "./read-overlay-tree.ts";
import { renderHosts, renderNodeFiles } from "./render-node-files.ts";

/** What the system overlays of all nodes are built from. */
export interface SystemOverlayParts {
  readonly config: Pick<MusterConfig, "controller" | "network" | "paths">;
  readonly inventory: Pick<Inventory, "listNodes" | "findOrCreateSecret">;
  readonly blobs: Pick<BlobStore, "put" | "renew">;
}

/**
 * Gives the function that builds a node's system overlay: generated files, then its overlays in order, as
 * entries in the order to apply. Blobs have no tickets; whoever sends the plan grants them. The node's host
 * keys and the secret of its machine id are made on first use and kept by the inventory.
 *
 * Holds what is the same for all nodes between calls, as every node of a cluster may boot at once.
 * Throws `overlay-invalid`, `node-unknown`, `disk-full`.
 */
export function openSystemOverlays(
  parts: SystemOverlayParts,
): (node: Node) => Promise<readonly OverlayEntry[]> {
  const { config, inventory, blobs } = parts;
  const reader = openOverlayReader(config.paths.overlays);
  const storeFile = openFileStore(blobs);
  let hosts: { readonly nodes: readonly Node[]; readonly text: string } | undefined;

  async function hostsText(): Promise<string> {
    // The inventory gives the same array until a node changes.
    const nodes = await inventory.listNodes();
    if (hosts?.nodes !== nodes) hosts = { nodes, text: renderHosts(nodes, config) };
    return hosts.text;
  }

  return async (node) => {
    const generated = renderNodeFiles({
      node,
      config,
      hosts: await hostsText(),
      machineIdSecret: await inventory.findOrCreateSecret(node.name, "machine-id", async () =>
        randomBytes(32),
      ),
      hostKeys: await findHostKeys(inventory, node.name),
    });
    const trees = await Promise.all(node.overlays.map((name) => reader.read(name)));
    const entries: OverlayEntry[] = [];
    for (const planned of planSystemOverlay([generated, ...trees])) {
      entries.push(await entryOf(planned, storeFile));
    }
    return entries;
  };
}

/** The ssh host keys of a node, which get to it with its system overlay. */
interface HostKeys {
  readonly ed25519: KeyObject;
  readonly ecdsa: KeyObject;
}

/** The ssh host keys of a node, made on first use and kept by the inventory. Throws `node-unknown`. */
export async function findHostKeys(
  inventory: Pick<Inventory, "findOrCreateSecret">,
  node: NodeName,
): Promise<HostKeys> {
  return {
    ed25519: await hostKey(inventory, node, "ssh-host-ed25519", () => generateKeyPairSync("ed25519")),
    ecdsa: await hostKey(inventory, node, "ssh-host-ecdsa", () =>
      generateKeyPairSync("ec", { namedCurve: "P-256" }),
    ),
  };
}

/** The key kept under `secret`, PKCS #8 in DER. */
async function hostKey(
  inventory: Pick<Inventory, "findOrCreateSecret">,
  node: NodeName,
  secret: string,
  generate: () => { readonly privateKey: KeyObject },
): Promise<KeyObject> {
  const stored = await inventory.findOrCreateSecret(node, secret, async () =>
    generate().privateKey.export({ format: "der", type: "pkcs8" }),
  );
  return createPrivateKey({ key: Buffer.from(stored), format: "der", type: "pkcs8" });
}

async function entryOf({ item, as }: PlannedItem, storeFile: FileStore): Promise<OverlayEntry> {
  const { path, mode, uid, gid, xattrs, kind } = item;
  const entry = { path, mode, uid, gid, xattrs: { ...xattrs } };
  switch (kind.type) {
    case "directory":
      return { ...entry, kind: { $case: "directory", value: true } };
    case "deletion":
      return { ...entry, kind: { $case: "deletion", value: true } };
    case "symlink":
      return { ...entry, kind: { $case: "symlinkTarget", value: kind.target } };
    case "file": {
      if ("bytes" in kind.content && as === "inline") {
        return { ...entry, kind: { $case: "inlineFile", value: kind.content.bytes } };
      }
      const stored =
        "bytes" in kind.content
          ? await storeFile.bytes(kind.content.bytes)
          : await storeFile.source(kind.content.sourcePath, as);
      if (Buffer.isBuffer(stored)) return { ...entry, kind: { $case: "inlineFile", value: stored } };
      const { digest, sizeBytes } = stored;
      return { ...entry, kind: { $case: "blobFile", value: { digest, sizeBytes, ticket: Buffer.alloc(0) } } };
    }
    default:
      return kind satisfies never;
  }
}

/** Reads the files of overlays, and puts the larger ones into the blob store. */
interface FileStore {
  bytes(content: Buffer): Promise<BlobReference>;
  /** The content itself when it is to travel inline, and has not grown beyond that meanwhile. */
  source(path: string, as: "inline" | "blob"): Promise<Buffer | BlobReference>;
}

function openFileStore(blobs: Pick<BlobStore, "put" | "renew">): FileStore {
  /** Digests of files that have not changed since, so that the store need not hash them for each node. */
  const known = new Map<string, { readonly version: string; readonly blob: BlobReference }>();
  return {
    bytes: async (content) => {
      const digest = digestOfHex(createHash("sha256").update(content).digest("hex"));
      return blobs.renew(digest) ? { digest, sizeBytes: content.length } : blobs.put(chunk(content), digest);
    },
    source: async (path, as) => {
      // O_NOFOLLOW, O_NONBLOCK: what was a plain file when the tree was read may be a link or a pipe by now.
      await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const stats = await file.stat({ bigint: true });
      if (!stats.isFile()) throw new Error(`${path} is no longer a plain file`);
      if (as === "inline" && stats.size <= MAX_INLINE_FILE_BYTES) return await file.readFile();
      const version = `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
      const before = known.get(path);
      // Stored at each boot of each node: that renews its grace period, and must not read it each time.
      if (before?.version === version && blobs.renew(before.blob.digest)) return before.blob;
      const blob = await blobs.put(file.createReadStream({ autoClose: false }));
      known.set(path, { version, blob });
      return blob;
    },
  };
}

async function* chunk(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content;
}
