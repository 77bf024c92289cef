import { MusterError } from "#proto/contract/muster-error.ts";

import type { ImageView } from "../../api/rest/schemas.ts";
import { isConfirmed } from "../ask-confirmation.ts";
import type { CliContext } from "../cli-context.ts";
import { renderImage, renderImageTable } from "./render-images.ts";
import { renderCount } from "../output/render-text.ts";

/** `muster image list`. */
export async function listImages(context: CliContext): Promise<number> {
  const { images } = await context.api.get<{ images: readonly ImageView[] }>("/images");
  if (images.length > 0 || context.output !== "table") {
    await context.print(images, () => renderImageTable(images));
  }
  if (images.length === 0) context.note("there are no images yet: muster image import DIR --name NAME");
  return 0;
}

/** `muster image show`. */
export async function showImage(context: CliContext, name: string): Promise<number> {
  const image = await fetchImage(context, name);
  await context.print(image, () => renderImage(image));
  return 0;
}

/** `muster image channel set`. */
export async function setChannel(
  context: CliContext,
  name: string,
  channel: string,
  version: string,
): Promise<number> {
  const target = readVersion(version);
  const path = `/images/${encodeURIComponent(name)}/channels/${encodeURIComponent(channel)}`;
  await context.api.send<null>("PUT", path, { version: target });
  context.note(`${name} ${channel} is v${target}; nodes take it at their next boot`);
  return 0;
}

/** `muster image delete`. */
export async function deleteImage(
  context: CliContext,
  name: string,
  options: { readonly version?: string; readonly yes?: true },
): Promise<number> {
  const version = options.version === undefined ? undefined : readVersion(options.version);
  const image = await fetchImage(context, name);
  const what =
    version === undefined
      ? `image ${name} with ${renderCount(image.versions.length, "version")}`
      : `version v${version} of image ${name}`;
  if (options.yes !== true && !(await isConfirmed(context, `Delete ${what}?`))) return 1;
  await context.api.send<null>("DELETE", `/images/${encodeURIComponent(name)}`, undefined, { version });
  context.note(`deleted ${what}`);
  return 0;
}

/** An image by name; `image-unknown`. */
export function fetchImage(context: CliContext, name: string): Promise<ImageView> {
  return context.api.get<ImageView>(`/images/${encodeURIComponent(name)}`);
}

function readVersion(text: string): number {
  const [, digits] = /^v?([1-9]\d{0,8})$/.exec(text) ?? [];
  if (digits !== undefined) return Number(digits);
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text)} is not a version of an image`,
    fix: "write its number, as `muster image show` has it",
  });
}
