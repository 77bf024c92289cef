import type { Digest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { type BootPlan, type OverlayEntry, RootMode } from "#proto/gen/muster/v1/provisioning.ts";
import type { BlobReference, Image, ImageVersion, Node, RootModeName } from "../inventory/inventory.ts";

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

/** The channel nodes boot. */
const CHANNEL = "stable";

/**
 * The version a node boots: channel `stable` of the node's image, else of the site's default image, else of
 * the only image there is. Throws `no-image`.
 */
export function planImage(
  node: Pick<Node, "name" | "image">,
  defaultImage: string | undefined,
  images: readonly Image[],
): ImageVersion {
  const only = images.length === 1 ? images[0]?.name : undefined;
  const name = node.image ?? defaultImage ?? only;
  if (name === undefined) {
    throw images.length === 0
      ? noImage(
          `there is no image for node ${node.name} to boot`,
          "import one: muster image import DIR --name NAME",
        )
      : noImage(
          `node ${node.name} names no image, and there are ${images.length} to choose from`,
          `muster node set ${node.name} --image NAME, or set boot.image in muster.yaml`,
        );
  }
  const image = images.find((candidate) => candidate.name === name);
  const version = image?.versions.find((candidate) => candidate.version === image.channels[CHANNEL]);
  if (version !== undefined) return version;
  throw noImage(
    `image ${JSON.stringify(name)} of node ${node.name} ${image === undefined ? "does not exist" : `has no version in channel ${CHANNEL}`}`,
    `import it: muster image import DIR --name ${name}; or give the node another: muster node set ${node.name} --image NAME`,
  );
}

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

function noImage(what: string, fix: string): MusterError {
  return new MusterError({ code: "no-image", what, fix });
}
