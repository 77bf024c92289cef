import { Type } from "typebox";

import { closestWords } from "#proto/contract/closest-words.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import { redactSecrets } from "../../fields/keep-secrets.ts";
import type { InventoryRecord, InventoryState } from "../../inventory/changes.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { InventoryQuery, InventoryView, RecordView } from "./inventory-schemas.ts";
import { requestInvalid, unknownChange } from "./request-error.ts";
import { NameParam, REFUSALS } from "./schemas.ts";
import { resolveNodeSet, selectNodes } from "./select-node-set.ts";
import { presentEach, sendLists } from "./send-lists.ts";
import type { TypedApi } from "./typed-api.ts";

const SecretsQuery = Type.Object({ secrets: InventoryQuery.properties.secrets });

/** Nodes and profiles as written. */
export function addInventoryRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory } = deps;
  api.get(
    "/api/v1/inventory",
    {
      schema: {
        summary: "Nodes and profiles as written, in natural order",
        querystring: InventoryQuery,
        response: { 200: InventoryView, ...REFUSALS },
      },
    },
    async ({ query: { nodes, at, secrets = false } }, reply) => {
      const state = at === undefined ? await inventory.listRecords() : await stateAt(deps, at);
      const chosen =
        nodes === undefined ? state.nodes : selectNodes(state.nodes, await resolveNodeSet(deps, nodes));
      const present = (record: InventoryRecord): RecordView => presentRecord(record, secrets);
      return sendLists(reply, {
        nodes: presentEach(chosen, present),
        profiles: presentEach(state.profiles, present),
      });
    },
  );

  api.get(
    "/api/v1/profiles",
    {
      schema: {
        summary: "Profiles as written, in natural order",
        querystring: SecretsQuery,
        response: { 200: Type.Object({ profiles: Type.Array(RecordView) }), ...REFUSALS },
      },
    },
    async ({ query: { secrets = false } }) => {
      const { profiles } = await inventory.listRecords();
      return { profiles: profiles.map((record) => presentRecord(record, secrets)) };
    },
  );

  api.get(
    "/api/v1/profiles/:name",
    {
      schema: {
        summary: "One profile as written",
        params: NameParam,
        querystring: SecretsQuery,
        response: { 200: RecordView, ...REFUSALS },
      },
    },
    async ({ params: { name }, query: { secrets = false } }) => {
      const { profiles } = await inventory.listRecords();
      const found = profiles.find((record) => record.name === name);
      if (found === undefined) throw unknownProfile(name, profiles);
      return presentRecord(found, secrets);
    },
  );
}

/** A record as the API shows it: without secrets unless they were asked for. */
export function presentRecord(record: InventoryRecord, withSecrets: boolean): RecordView {
  return withSecrets ? { ...record } : { ...record, fields: redactSecrets(record.fields) };
}

/** After a change, which its time does not tell: two may fall into one millisecond. */
async function stateAt({ inventory }: ApiDependencies, at: string): Promise<InventoryState> {
  const [, number] = /^change (\d{1,15})$/.exec(at) ?? [];
  if (number === undefined) return inventory.stateAt(readTime(at));
  const id = Number(number);
  if ((await inventory.findChange(id)) === undefined) throw unknownChange(id);
  return inventory.stateAt(id);
}

/** ISO 8601, as RFC 3339 has it, or a date. */
function readTime(text: string): Date {
  const time = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2})?)?$/.test(text) ? new Date(text) : undefined;
  if (time === undefined || Number.isNaN(time.getTime())) {
    throw requestInvalid([{ at: "at", what: "is no time: 2026-11-20T12:00:00Z" }]);
  }
  return time;
}

function unknownProfile(name: string, profiles: readonly InventoryRecord[]): MusterError {
  const close = closestWords(
    name,
    profiles.map((record) => record.name),
  );
  return new MusterError({
    code: "profile-unknown",
    what: `there is no profile ${JSON.stringify(name.slice(0, 100))}`,
    fix:
      close.length > 0 ? `did you mean ${close.join(" or ")}?` : "`muster profile list` shows all profiles",
  });
}
