import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import type { FastifyReply, FastifyRequest } from "fastify";

import { parseRange } from "./parse-range.ts";

/** Larger than the default 64 KiB: fewer turns of the event loop per kernel and initramfs. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Answers GET and HEAD with a file: ETag, If-None-Match, If-Range and one range (RFC 9110). `path` comes from us,
 * never from the request. `onSent` is called when the last byte was handed to the network.
 */
export async function serveFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: { readonly path: string; readonly etag: string },
  onSent: (bytes: number) => void = () => undefined,
): Promise<FastifyReply> {
  const etag = `"${file.etag}"`;
  void reply.header("etag", etag).header("accept-ranges", "bytes").type("application/octet-stream");
  if (matches(request.headers["if-none-match"], etag)) return reply.code(304).send();
  const handle = await open(file.path, "r");
  try {
    const { size } = await handle.stat();
    const ifRange = request.headers["if-range"];
    const range = parseRange(
      ifRange === undefined || ifRange === etag ? request.headers.range : undefined,
      size,
    );
    if (range === "unsatisfiable") {
      await handle.close();
      return await reply
        .code(416)
        .header("content-range", `bytes */${size}`)
        .type("text/plain")
        .send("no such bytes\n");
    }
    const { start, end } = range ?? { start: 0, end: size - 1 };
    if (range !== undefined) void reply.code(206).header("content-range", `bytes ${start}-${end}/${size}`);
    const length = end - start + 1;
    void reply.header("content-length", length);
    if (request.method === "HEAD" || length === 0) {
      await handle.close();
      return await reply.send();
    }
    reply.raw.once("finish", () => {
      onSent(length);
    });
    // The stream closes the file, also when the client goes away half-way.
    return await reply.send(handle.createReadStream({ start, end, highWaterMark: CHUNK_BYTES }));
  } catch (error) {
    await handle.close().catch(() => undefined);
    throw error;
  }
}

/** Hashes files once: again only when size, modification time or inode changed. */
export function createFileHasher(): (path: string) => Promise<string> {
  const known = new Map<string, { readonly key: string; readonly hash: Promise<string> }>();
  return async (path) => {
    const handle = await open(path, "r");
    try {
      const { size, mtimeMs, ino } = await handle.stat();
      const key = `${size} ${mtimeMs} ${ino}`;
      const before = known.get(path);
      if (before?.key === key) return await before.hash;
      const hash = (async () => {
        const sha256 = createHash("sha256");
        await pipeline(handle.createReadStream({ autoClose: false, start: 0 }), sha256);
        return sha256.digest("hex");
      })();
      known.set(path, { key, hash });
      hash.catch(() => known.delete(path));
      return await hash;
    } finally {
      await handle.close();
    }
  };
}

function matches(header: string | undefined, etag: string): boolean {
  return (header ?? "")
    .split(",")
    .some((one) => one.trim().replace(/^W\//, "") === etag || one.trim() === "*");
}
