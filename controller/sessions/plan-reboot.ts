import { planImageChoice } from "../images/plan-image-choice.ts";
import type { Image, ImageVersion, Node } from "../inventory/inventory.ts";
import type { NodeStatus } from "./fleet.ts";

/** What a restart would do to one node. */
export interface RebootPreview {
  readonly node: Node["name"];
  readonly state: NodeStatus["state"];
  /** Why it cannot be asked; absent: it can. */
  readonly obstacle?: string;
  readonly now?: { readonly image: string; readonly version: number };
  /** What its next boot gets; absent when it gets nothing. */
  readonly next?: { readonly image: string; readonly version: number; readonly kernelRelease: string };
  /** Why the next boot gets nothing, and what to do. */
  readonly trouble?: { readonly what: string; readonly fix: string };
  /** Kernel that runs now, when the next is another one. */
  readonly kernelBefore?: string;
  /** Site overlays that are laid over the image, in order. */
  readonly overlays: readonly string[];
}

/** What would happen to a node that is restarted now. */
export function planReboot(
  node: Pick<Node, "name" | "image" | "overlays">,
  status: Pick<NodeStatus, "state" | "image" | "imageVersion">,
  site: { readonly images: readonly Image[]; readonly defaultImage: string | undefined },
): RebootPreview {
  const choice = planImageChoice(site.images, { name: node.image ?? site.defaultImage, isKnown: true });
  const running =
    status.image === undefined || status.imageVersion === undefined
      ? undefined
      : { image: status.image, version: status.imageVersion };
  const before = running === undefined ? undefined : findVersion(site.images, running)?.kernelRelease;
  const head = { node: node.name, state: status.state, overlays: node.overlays };
  const after = choice.found
    ? {
        next: {
          image: choice.version.image,
          version: choice.version.version,
          kernelRelease: choice.version.kernelRelease,
        },
        ...(before === undefined || before === choice.version.kernelRelease ? {} : { kernelBefore: before }),
      }
    : { trouble: { what: choice.what, fix: choice.fix } };
  return {
    ...head,
    ...(status.state === "ready" ? {} : { obstacle: OBSTACLES[status.state] }),
    ...(running === undefined ? {} : { now: running }),
    ...after,
  };
}

const OBSTACLES = {
  new: "it has never booted",
  booting: "it is booting",
  unreachable: "no session",
  failed: "its last boot failed",
} as const satisfies Record<Exclude<NodeStatus["state"], "ready">, string>;

function findVersion(
  images: readonly Image[],
  { image, version }: { readonly image: string; readonly version: number },
): ImageVersion | undefined {
  return images.find(({ name }) => name === image)?.versions.find((one) => one.version === version);
}
