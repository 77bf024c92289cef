import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import type { OverlayEntry } from "#proto/gen/muster/v1/provisioning.ts";
import type { BlobStore } from "../images/blob-store.ts";
import { openBlobStore } from "../images/open-blob-store.ts";
import type { Inventory, Node } from "../inventory/inventory.ts";
import { openInventory } from "../inventory/open-inventory.ts";
import { openSystemOverlays } from "./build-system-overlay.ts";

const ROOT = { user: "root" };
const network = { subnet: "10.77.0.0/16", dns: [], domain: "cluster" };
const controller = { address: "10.77.0.1", names: [], alternatives: [] };
const C1 = parseNodeName("c1");

let directory: string;
let inventory: Inventory;
let blobs: BlobStore;
let build: (node: Node) => Promise<readonly OverlayEntry[]>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "muster-build-overlay-"));
  mkdirSync(join(directory, "overlays/base/rootfs/etc"), { recursive: true });
  inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => new Date(0) });
  blobs = await openBlobStore({ directory: join(directory, "blobs") });
  const paths = {
    state: "",
    runtime: "",
    hooks: "",
    overlays: join(directory, "overlays"),
    ipxe: "",
    artifacts: "",
  };
  build = openSystemOverlays({ config: { controller, network, paths }, inventory, blobs });
});

afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function addNode(name: NodeName, overlays: string[] = []): Promise<Node> {
  const [node] = await inventory.addNodes(
    [{ name, fields: { kernelArguments: [], overlays, runtimeOverlays: [], tags: {}, devices: [] } }],
    ROOT,
  );
  if (node === undefined) throw new Error("addNodes returns the node");
  return node;
}

function put(path: string, content: string | Buffer): void {
  writeFileSync(join(directory, "overlays/base/rootfs", path), content);
}

function inline(entries: readonly OverlayEntry[], path: string): string | undefined {
  const kind = entries.find((entry) => entry.path === path)?.kind;
  return kind?.$case === "inlineFile" ? kind.value.toString() : undefined;
}

describe("openSystemOverlays", () => {
  it("builds the same for a node each time, keys and machine id included, and other keys for another", async () => {
    const c1 = await addNode(C1);
    const first = await build(c1);
    expect(await build(c1)).toEqual(first);
    expect(inline(first, "/etc/hostname")).toBe("c1\n");
    const other = await build(await addNode(parseNodeName("c2")));
    for (const path of ["/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ecdsa_key"]) {
      expect(inline(first, path)).toBeDefined();
      expect(inline(other, path)).not.toBe(inline(first, path));
    }
  });

  it("lays the node's overlays over the generated files; large ones are blobs without a ticket", async () => {
    put("etc/hostname", "mine\n");
    put("big", Buffer.alloc(65_537, 7));
    const node = await addNode(C1, ["base"]);
    const entries = await build(node);
    expect(inline(entries, "/etc/hostname")).toBe("mine\n");
    const big = entries.find((entry) => entry.path === "/big");
    expect(big?.kind).toEqual({
      $case: "blobFile",
      value: {
        digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
        sizeBytes: 65_537,
        ticket: Buffer.alloc(0),
      },
    });
    const stored = vi.spyOn(blobs, "put");
    expect(await build(node)).toEqual(entries);
    expect(stored).not.toHaveBeenCalled();
    expect((await blobs.list()).map((blob) => blob.sizeBytes)).toEqual([65_537]);
    put("big", Buffer.alloc(70_000, 8));
    expect((await build(node)).find((entry) => entry.path === "/big")?.kind).toMatchObject({
      value: { sizeBytes: 70_000 },
    });
  });

  it("sends the hosts of a large cluster as one blob for all, and anew when a node comes", async () => {
    await inventory.addNodes(
      Array.from({ length: 3000 }, (_, n) => ({
        name: parseNodeName(`n${n}`),
        fields: {
          kernelArguments: [],
          overlays: [],
          runtimeOverlays: [],
          tags: {},
          devices: [{ name: "eth0", type: "ethernet" as const, address: `10.77.${n >> 8}.${n & 255}` }],
        },
      })).slice(2),
      ROOT,
    );
    const [a, b] = (await inventory.listNodes()).slice(0, 2);
    if (a === undefined || b === undefined) throw new Error("thousands of nodes");
    const hosts = async (node: Node) =>
      (await build(node)).find((entry) => entry.path === "/etc/hosts")?.kind;
    const before = await hosts(a);
    expect(before?.$case).toBe("blobFile");
    expect(await hosts(b)).toEqual(before);
    await inventory.deleteNodes([parseNodeName("n9")], ROOT);
    expect(await hosts(a)).not.toEqual(before);
  });

  it("refuses an overlay that does not exist, with those that do", async () => {
    await expect(build(await addNode(C1, ["base", "nope"]))).rejects.toMatchObject({
      code: "overlay-invalid",
      message: 'there is no overlay "nope"',
      fix: `there are: base (in ${join(directory, "overlays")})`,
    });
  });

  it("makes no keys for a node that is gone", async () => {
    const node = await addNode(C1);
    await inventory.deleteNodes([C1], ROOT);
    await expect(build(node)).rejects.toMatchObject({ code: "node-unknown" });
  });
});
