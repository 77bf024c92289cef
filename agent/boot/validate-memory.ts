import { MusterError } from "#proto/contract/muster-error.ts";
import { type BootPlan, RootMode } from "#proto/gen/muster/v1/provisioning.ts";

const MIB = 1024 * 1024;

/** What the image's init, its services and the agent need to come up at all. */
const MARGIN_BYTES = 128 * MIB;
/** A squashfs does not say how large its content is; packed with zstd a Debian tree is a third of it. */
const UNPACKED_FACTOR = 3;

/**
 * Refuses with `memory-insufficient` when the root file system cannot fit, before a byte is fetched: a node that
 * runs out of memory half way dies with a panic that names nothing.
 */
export function validateMemory(plan: BootPlan, availableBytes: number): void {
  const packed = plan.layers.reduce((sum, layer) => sum + layer.sizeBytes, 0);
  const unpacked = plan.rootMode === RootMode.TMPFS ? packed * UNPACKED_FACTOR : 0;
  const needed = packed + unpacked + MARGIN_BYTES;
  if (needed <= availableBytes) return;
  throw new MusterError({
    code: "memory-insufficient",
    what: `image ${plan.imageName} version ${plan.imageVersion} needs about ${mib(needed)} MiB of memory to boot (${mib(packed)} MiB packed${unpacked === 0 ? "" : `, about ${mib(unpacked)} MiB unpacked`}, ${mib(MARGIN_BYTES)} MiB to run), ${mib(availableBytes)} MiB are available`,
    fix:
      plan.rootMode === RootMode.TMPFS
        ? "boot it in root mode squashfs, use a smaller image or give the node more memory"
        : "use a smaller image or give the node more memory",
  });
}

function mib(bytes: number): number {
  return Math.ceil(bytes / MIB);
}
