import type { Digest } from "#proto/contract/digest.ts";
import { type BootPlan, type OverlayEntry, RootMode } from "#proto/gen/muster/v1/provisioning.ts";
import type { RootModeName } from "../fields/fields.ts";
import type { BlobReference, ImageVersion, Node } from "../inventory/inventory.ts";

/** The site's part of every boot plan. */
export interface BootSettings {
  /** Image of nodes that name none. */
  readonly defaultImage: string | undefined;
  readonly giveUpAfterSeconds: number;
  readonly rebootAfterSeconds: number;
  /** host:port, in the order to try. */
  readonly blobAddresses: readonly string[];
}

const ROOT_MODES = {
  squashfs: RootMode.SQUASHFS,
  tmpfs: RootMode.TMPFS,
} as const satisfies Record<RootModeName, RootMode>;

/** The boot plan of a node, with the overlay that was built for it. `ticketFor` seals a permission per blob. */
export function planBoot(parts: {
  readonly node: Pick<Node, "name" | "rootMode" | "rootSizeBytes">;
  readonly version: ImageVersion;
  readonly overlay: readonly OverlayEntry[];
  readonly settings: BootSettings;
  readonly ticketFor: (blob: BlobReference) => Buffer;
}): BootPlan {
  const { node, version, settings, ticketFor } = parts;
  return {
    nodeName: node.name,
    imageName: version.image,
    imageVersion: version.version,
    kernelDigest: version.kernel.digest,
    layers: version.layers.map((layer) => ({ ...layer, ticket: ticketFor(layer) })),
    rootMode: ROOT_MODES[node.rootMode ?? "squashfs"],
    rootSizeBytes: node.rootSizeBytes ?? 0,
    overlay: parts.overlay.map((entry) => withTicket(entry, ticketFor)),
    init: "/sbin/init",
    blobAddresses: [...settings.blobAddresses],
    retry: {
      giveUpAfterSeconds: settings.giveUpAfterSeconds,
      rebootAfterSeconds: settings.rebootAfterSeconds,
    },
  };
}

function withTicket(entry: OverlayEntry, ticketFor: (blob: BlobReference) => Buffer): OverlayEntry {
  if (entry.kind?.$case !== "blobFile") return entry;
  const { digest, sizeBytes } = entry.kind.value;
  const ticket = ticketFor({ digest: digest as Digest, sizeBytes });
  return { ...entry, kind: { $case: "blobFile", value: { digest, sizeBytes, ticket } } };
}
