import type { Image, ImageVersion } from "../inventory/inventory.ts";

/** The version a machine is to boot, or why there is none and what to do, for its console. */
export type ImageChoice =
  | { readonly found: true; readonly version: ImageVersion }
  | { readonly found: false; readonly what: string; readonly fix: string };

/** The channel nodes boot. */
const CHANNEL = "stable";

/**
 * The one rule for what boots, asked for the boot script and again for the boot plan: if the two differed, the
 * node would restart for ever to get the right kernel.
 *
 * | asked for              | images there are | what boots                                    |
 * |------------------------|------------------|-----------------------------------------------|
 * | a name                 | it is one        | its version in channel stable                 |
 * | a name                 | others           | nothing: say so                               |
 * | nothing, by a node     | one              | that one                                      |
 * | nothing, by a node     | several          | nothing: somebody has to choose               |
 * | nothing, by a stranger | any              | the one imported last: it only has to ask     |
 */
export function planImageChoice(
  images: readonly Image[],
  asked: { readonly name: string | undefined; readonly isKnown: boolean },
): ImageChoice {
  if (asked.name !== undefined) {
    const named = images.find(({ name }) => name === asked.name);
    return named === undefined
      ? missing(
          `there is no image ${asked.name}`,
          `on the controller: muster image import DIR --name ${asked.name}, or give the node another image`,
        )
      : stableOf(named);
  }
  if (images.length > 1 && asked.isKnown) {
    return missing(
      `no image is chosen and there are ${images.length}`,
      "on the controller: muster node set NODE --image NAME, or boot.image in muster.yaml",
    );
  }
  const choices = images.map(stableOf);
  const newest = choices.reduce<ImageChoice | undefined>(
    (best, choice) => (best === undefined || importedAt(choice) > importedAt(best) ? choice : best),
    undefined,
  );
  return newest ?? missing("there is no image yet", "on the controller: muster image import DIR --name NAME");
}

function stableOf(image: Image): ImageChoice {
  const version = image.versions.find((one) => one.version === image.channels[CHANNEL]);
  return version === undefined
    ? missing(
        `image ${image.name} has no ${CHANNEL} version`,
        `on the controller: muster image import DIR --name ${image.name}`,
      )
    : { found: true, version };
}

function importedAt(choice: ImageChoice): number {
  return choice.found ? choice.version.createdAt.getTime() : Number.NEGATIVE_INFINITY;
}

function missing(what: string, fix: string): ImageChoice {
  return { found: false, what, fix };
}
