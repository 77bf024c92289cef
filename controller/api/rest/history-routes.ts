import { Type } from "typebox";

import type { MusterEvent, Telemetry } from "../../events/telemetry.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { followRecords, openFollowers } from "./follow-records.ts";
import { presentBoot, presentEvent } from "./present.ts";
import { BootList, EventList, REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

const MAX_BOOTS = 1000;
const DEFAULT_BOOTS = 20;
const DEFAULT_EVENTS = 100;
const MAX_EVENTS = 10_000;

/** What happened: boots and events. */
export function addHistoryRoutes(api: TypedApi, deps: ApiDependencies): void {
  const followers = openFollowers(api);

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
      return followers.stream(raw, reply, (signal) => followEvents(deps.telemetry, query, signal));
    },
  );
}

/** The events of a query and then each as it happens, as lines of JSON; see {@link followRecords}. */
export function followEvents(
  telemetry: Pick<Telemetry, "listEvents" | "onEvent">,
  query: { readonly node?: string; readonly afterId?: number; readonly limit: number },
  signal: AbortSignal,
): AsyncGenerator<string> {
  return followRecords<MusterEvent>(
    {
      list: async (page) =>
        (await telemetry.listEvents({ ...query, ...page })).toSorted((a, b) => a.id - b.id),
      listen: (hear) =>
        telemetry.onEvent((event) => {
          if (query.node === undefined || event.node === query.node) hear([event]);
        }),
      present: presentEvent,
    },
    query,
    signal,
  );
}
