import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";

import type { FastifyReply } from "fastify";

import type { TypedApi } from "./typed-api.ts";

/** A follower that does not read for this many records is let go: it must not fill the controller's memory. */
const MAX_BACKLOG = 10_000;
/** Blank lines between records keep proxies and sleeping laptops from taking the stream for dead. */
const KEEP_ALIVE_MS = 30_000;

/** Records that come one after the other, each with a greater id. */
export interface RecordSource<T extends { readonly id: number }> {
  /** In order of id: the first `limit` after `afterId`, or without it the last there are. */
  readonly list: (page: { readonly afterId?: number; readonly limit: number }) => Promise<readonly T[]>;
  /** Calls back with new records, in order. Returns the unsubscribe. */
  readonly listen: (hear: (records: readonly T[]) => void) => () => void;
  readonly present: (record: T) => unknown;
}

/**
 * Lines of JSON: first the records there are after `afterId` (or the last `limit`), then each as it comes, none twice and
 * none left out. Ends when the signal is aborted or when its reader falls too far behind.
 */
export async function* followRecords<T extends { readonly id: number }>(
  source: RecordSource<T>,
  from: { readonly afterId?: number; readonly limit: number },
  signal: AbortSignal,
): AsyncGenerator<string> {
  const backlog: T[] = [];
  const reader = { isBehind: false, isBeatDue: false };
  const lineOf = (record: T): string => `${JSON.stringify(source.present(record))}\n`;
  let wake = Promise.withResolvers<undefined>();
  const rouse = (): void => {
    wake.resolve(undefined);
  };
  // listen before listing, so that nothing falls between the two
  const unsubscribe = source.listen((records) => {
    if (backlog.length + records.length > MAX_BACKLOG) reader.isBehind = true;
    else backlog.push(...records);
    rouse();
  });
  const isOver = (): boolean => signal.aborted || reader.isBehind;
  const beat = setInterval(() => {
    reader.isBeatDue = true;
    rouse();
  }, KEEP_ALIVE_MS);
  signal.addEventListener("abort", rouse, { once: true });
  try {
    let lastId = from.afterId ?? 0;
    // with an id to begin after there may be more than one page; without, the last page is what was asked for
    for (let page = from, more = true; more && !isOver(); page = { ...page, afterId: lastId }) {
      const records = await source.list(page);
      for (const record of records) {
        lastId = Math.max(lastId, record.id);
        yield lineOf(record);
      }
      more = from.afterId !== undefined && records.length === from.limit;
    }
    while (!isOver()) {
      const record = backlog.shift();
      if (record !== undefined) {
        if (record.id <= lastId) continue;
        lastId = record.id;
        yield lineOf(record);
        continue;
      }
      await wake.promise;
      wake = Promise.withResolvers<undefined>();
      if (reader.isBeatDue) yield "\n";
      reader.isBeatDue = false;
    }
  } finally {
    clearInterval(beat);
    unsubscribe();
  }
}

/** Those who follow something over one server: they end when they hang up and when the server closes. */
export function openFollowers(api: Pick<TypedApi, "addHook">): {
  /** Answers with the lines of `follow`, for as long as the caller listens. */
  readonly stream: (
    raw: IncomingMessage,
    reply: unknown,
    follow: (signal: AbortSignal) => AsyncGenerator<string>,
  ) => never;
} {
  const followers = new Set<AbortController>();
  api.addHook("preClose", async () => {
    for (const follower of followers) follower.abort();
  });
  return {
    stream: (raw, reply, follow) => {
      const stop = new AbortController();
      followers.add(stop);
      raw.on("close", () => {
        stop.abort();
        followers.delete(stop);
      });
      // A stream is none of the answers a schema knows, hence its type.
      return (reply as FastifyReply)
        .type("application/x-ndjson")
        .serializer(String)
        .send(Readable.from(follow(stop.signal))) as never;
    },
  };
}
