import { Type } from "typebox";

import { closestWords } from "#proto/contract/closest-words.ts";
import { parseDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import { IMAGE_NAME } from "../../fields/parse-field-value.ts";
import type { BlobReference } from "../../inventory/inventory.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { presentImage, presentImageVersion } from "./present.ts";
import { requestInvalid } from "./request-error.ts";
import {
  type BlobView,
  ChannelTarget,
  ImageList,
  ImageVersionInput,
  ImageVersionView,
  ImageView,
  NameParam,
  Nothing,
  REFUSALS,
} from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

export function addImageRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory } = deps;

  api.get(
    "/api/v1/images",
    { schema: { summary: "List images", response: { 200: ImageList, ...REFUSALS } } },
    async () => {
      const images = await inventory.listImages();
      return { images: images.toSorted((a, b) => a.name.localeCompare(b.name)).map(presentImage) };
    },
  );

  api.get(
    "/api/v1/images/:name",
    { schema: { summary: "One image", params: NameParam, response: { 200: ImageView, ...REFUSALS } } },
    async ({ params }) => {
      const image = await inventory.findImage(params.name);
      if (image !== undefined) return presentImage(image);
      const close = closestWords(
        params.name,
        (await inventory.listImages()).map((other) => other.name),
      );
      throw new MusterError({
        code: "image-unknown",
        what: `there is no image ${JSON.stringify(params.name.slice(0, 100))}`,
        fix:
          close.length > 0 ? `did you mean ${close.join(" or ")}?` : "`muster image list` shows all images",
      });
    },
  );

  api.post(
    "/api/v1/images/:name/versions",
    {
      schema: {
        summary: "Register a version whose blobs are uploaded; channel `stable` moves to it",
        params: NameParam,
        body: ImageVersionInput,
        response: { 201: ImageVersionView, ...REFUSALS },
      },
    },
    async ({ params, body, author }, reply) => {
      if (!IMAGE_NAME.test(params.name)) {
        throw requestInvalid([{ at: "name", what: `${JSON.stringify(params.name)} cannot name an image` }]);
      }
      const version = await inventory.addImageVersion(
        {
          ...body,
          image: params.name,
          kernel: await storedBlob(deps, "kernel", body.kernel),
          modules: await storedBlob(deps, "modules", body.modules),
          layers: await Promise.all(
            body.layers.map((layer, index) => storedBlob(deps, `layers[${index}]`, layer)),
          ),
        },
        author,
      );
      return reply.code(201).send(presentImageVersion(version));
    },
  );

  api.put(
    "/api/v1/images/:name/channels/:channel",
    {
      schema: {
        summary: "Move a channel to a version",
        params: Type.Object({
          name: Type.String(),
          channel: Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,31}$" }),
        }),
        body: ChannelTarget,
        response: { 204: Nothing, ...REFUSALS },
      },
    },
    async ({ params, body, author }, reply) => {
      await inventory.setChannel(params.name, params.channel, body.version, author);
      return reply.code(204).send(null);
    },
  );

  api.delete(
    "/api/v1/images/:name",
    {
      schema: {
        summary: "Delete one version, or the whole image",
        params: NameParam,
        querystring: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }),
        response: { 204: Nothing, ...REFUSALS },
      },
    },
    async ({ params, query, author }, reply) => {
      await inventory.deleteImage(params.name, query.version, author);
      return reply.code(204).send(null);
    },
  );
}

/** A blob an image may name: in the store, with the size that was said. */
async function storedBlob(
  deps: ApiDependencies,
  at: string,
  { digest, sizeBytes }: BlobView,
): Promise<BlobReference> {
  const parsed = parseDigest(digest);
  const stored = await deps.blobs.sizeOf(parsed);
  if (stored === undefined) {
    throw new MusterError({
      code: "blob-missing",
      what: `${at}: the blob ${digest} was not uploaded`,
      fix: "upload it with PUT /api/v1/blobs first",
    });
  }
  if (stored !== sizeBytes) {
    throw requestInvalid([
      { at: `${at}.sizeBytes`, what: `the stored blob has ${stored} bytes, not ${sizeBytes}` },
    ]);
  }
  return { digest: parsed, sizeBytes };
}
