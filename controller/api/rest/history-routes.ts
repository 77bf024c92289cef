import { Readable } from "node:stream";

import { Type } from "typebox";

import type { MusterEvent, Telemetry } from "../../events/telemetry.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { presentBoot, presentEvent } from "./present.ts";
import { BootList, EventList, REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

const MAX_BOOTS = 1000;
const DEFAULT_BOOTS = 20;
const DEFAULT_EVENTS = 100;
const MAX_EVENTS = 10_000;
/** A follower that does not read for this many events is let go: it must not fill the controller's memory. */
const MAX_BACKLOG = 10_000;
/** Blank lines between events keep proxies and sleeping laptops from taking the stream for dead. */
const KEEP_ALIVE_MS = 30_000;

/** What happened: boots and events. */
export function addHistoryRoutes(api: TypedApi, deps: ApiDependencies): void {
  const followers = new Set<AbortController>();
  api.addHook("preClose", async () => {
    for (const follower of followers) follower.abort();
  });

  api.get(
    "/api/v1/boots",
    {
      schema: {
        summary: "Boots, newest first",
        querystring: Type.Object({
          node: Type.Optional(Type.String()),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_BOOTS, default: DEFAULT_BOOTS })),
        }),
        response: { 200: BootList, ...REFUSALS },
      },
    },
    async ({ query: { node, limit = DEFAULT_BOOTS } }) => {
      const boots = await deps.telemetry.listBoots({ limit, ...(node === undefined ? {} : { node }) });
      return { boots: boots.map(presentBoot) };
    },
  );

  api.get(
    "/api/v1/events",
    {
      schema: {
        summary: "Events after an id, oldest first; with follow=true a stream of JSON lines that goes on",
        querystring: Type.Object({
          node: Type.Optional(Type.String()),
          after: Type.Optional(Type.Integer({ minimum: 0 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_EVENTS, default: DEFAULT_EVENTS })),
          follow: Type.Optional(Type.Boolean()),
        }),
        response: { 200: EventList, ...REFUSALS },
      },
    },
    async ({ query: { node, after, limit = DEFAULT_EVENTS, follow }, raw }, reply) => {
      const query = {
        limit,
        ...(node === undefined ? {} : { node }),
        ...(after === undefined ? {} : { afterId: after }),
      };
      if (follow !== true) {
        const events = await deps.telemetry.listEvents(query);
        return { events: events.toSorted((a, b) => a.id - b.id).map(presentEvent) };
      }
      const stop = new AbortController();
      followers.add(stop);
      raw.on("close", () => {
        stop.abort();
        followers.delete(stop);
      });
      const lines = Readable.from(followEvents(deps.telemetry, query, stop.signal));
      return reply
        .type("application/x-ndjson")
        .serializer(String)
        .send(lines as never);
    },
  );
}

/**
 * Lines of JSON: first the events there are after `afterId` (or the last `limit`), then each as it happens,
 * none twice and none left out. Ends when the signal is aborted or when its reader falls too far behind.
 */
export async function* followEvents(
  telemetry: Telemetry,
  query: { readonly node?: string; readonly afterId?: number; readonly limit: number },
  signal: AbortSignal,
): AsyncGenerator<string> {
  const backlog: MusterEvent[] = [];
  const reader = { isBehind: false, isBeatDue: false };
  let wake = Promise.withResolvers<undefined>();
  const rouse = (): void => {
    wake.resolve(undefined);
  };
  // listen before listing, so that nothing falls between the two
  const unsubscribe = telemetry.onEvent((event) => {
    if (query.node !== undefined && event.node !== query.node) return;
    if (backlog.length >= MAX_BACKLOG) reader.isBehind = true;
    else backlog.push(event);
    rouse();
  });
  const isOver = (): boolean => signal.aborted || reader.isBehind;
  const beat = setInterval(() => {
    reader.isBeatDue = true;
    rouse();
  }, KEEP_ALIVE_MS);
  signal.addEventListener("abort", rouse, { once: true });
  try {
    let lastId = query.afterId ?? 0;
    // with an id to begin after there may be more than one page; without, the last page is what was asked for
    for (let page = query, more = true; more && !isOver(); page = { ...page, afterId: lastId }) {
      const events = (await telemetry.listEvents(page)).toSorted((a, b) => a.id - b.id);
      for (const event of events) {
        lastId = Math.max(lastId, event.id);
        yield lineOf(event);
      }
      more = query.afterId !== undefined && events.length === query.limit;
    }
    while (!isOver()) {
      const event = backlog.shift();
      if (event !== undefined) {
        if (event.id <= lastId) continue;
        lastId = event.id;
        yield lineOf(event);
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

function lineOf(event: MusterEvent): string {
  return `${JSON.stringify(presentEvent(event))}\n`;
}
