import { parseDigest, shortDigest } from "#proto/contract/digest.ts";

import type { ImageVersionView, ImageView } from "../../api/rest/schemas.ts";
import { renderSize, renderTable, renderTime } from "../output/render-text.ts";

/** `muster image list`: an image a line, with the version that nodes boot. */
export function renderImageTable(images: readonly ImageView[]): string {
  return renderTable(
    ["NAME", "STABLE", "VERSIONS", "KERNEL", "ARCH", "SIZE", "CREATED"],
    images.map((image) => {
      const stable = image.versions.find((version) => version.version === image.channels["stable"]);
      return [
        image.name,
        stable === undefined ? "" : `v${stable.version}`,
        String(image.versions.length),
        stable?.kernelRelease ?? "",
        stable?.architecture ?? "",
        stable === undefined ? "" : renderSize(sizeOf(stable)),
        stable === undefined ? "" : renderTime(stable.createdAt),
      ];
    }),
    ["VERSIONS", "SIZE"],
  );
}

/** `muster image show`: a version a line, newest first. */
export function renderImage(image: ImageView): string {
  return renderTable(
    ["VERSION", "CHANNELS", "KERNEL", "ARCH", "SIZE", "LAYERS", "CREATED", "SOURCE"],
    image.versions
      .toSorted((a, b) => b.version - a.version)
      .map((version) => [
        `v${version.version}`,
        Object.entries(image.channels)
          .filter(([, target]) => target === version.version)
          .map(([channel]) => channel)
          .join(","),
        version.kernelRelease,
        version.architecture,
        renderSize(sizeOf(version)),
        version.layers.map((layer) => shortDigest(parseDigest(layer.digest))).join(","),
        renderTime(version.createdAt),
        version.source,
      ]),
    ["SIZE"],
  );
}

function sizeOf(version: ImageVersionView): number {
  return [version.kernel, version.modules, ...version.layers].reduce((sum, blob) => sum + blob.sizeBytes, 0);
}
