import type { Readable } from "node:stream";

import { Type } from "typebox";

import { parseDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import type { ApiDependencies } from "./api-dependencies.ts";
import { BlobView, Nothing, REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

/** Uploads: streamed to the store, never held in memory, of any size the disk takes. */
export function addBlobRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.addContentTypeParser("application/octet-stream", (_request, content, done) => {
    done(null, content);
  });

  api.put(
    "/api/v1/blobs",
    {
      schema: {
        summary: "Store a blob: the body, as application/octet-stream",
        consumes: ["application/octet-stream"],
        querystring: Type.Object({
          digest: Type.Optional(Type.String({ description: "refuse content of another digest" })),
        }),
        response: { 201: BlobView, ...REFUSALS },
      },
    },
    async ({ body, query }, reply) => {
      if (!isStream(body)) {
        throw new MusterError({
          code: "request-invalid",
          what: "a blob is sent as application/octet-stream",
        });
      }
      const expected = query.digest === undefined ? undefined : parseDigest(query.digest);
      const stored = await deps.blobs.put(body, expected);
      return reply.code(201).send(stored);
    },
  );

  api.head(
    "/api/v1/blobs/:digest",
    {
      schema: {
        summary: "Whether the store has a blob: 200 or 404",
        params: Type.Object({ digest: Type.String() }),
        response: { 200: Nothing, ...REFUSALS },
      },
    },
    async ({ params }, reply) => {
      const digest = parseDigest(params.digest);
      if ((await deps.blobs.sizeOf(digest)) === undefined) {
        throw new MusterError({ code: "blob-missing", what: `there is no blob ${digest}` });
      }
      return reply.code(200).send(null);
    },
  );

  api.get(
    "/api/v1/blobs/:digest/path",
    {
      schema: {
        summary: "Where a blob's file is on the controller",
        params: Type.Object({ digest: Type.String() }),
        response: { 200: Type.Object({ path: Type.String() }), ...REFUSALS },
      },
    },
    async ({ params }) => ({ path: await deps.blobs.verifiedPath(parseDigest(params.digest)) }),
  );
}

function isStream(body: unknown): body is Readable {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
