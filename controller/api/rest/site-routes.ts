import { Type } from "typebox";

import type { ApiDependencies } from "./api-dependencies.ts";
import { FindingList, REFUSALS, SiteStatus, SNIPPET_FORMAT } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

/** A check of the host takes seconds (it listens for other DHCP servers); it never takes minutes. */
const DOCTOR_DEADLINE_MS = 60_000;

/** The controller itself: its state, its host, its authority. */
export function addSiteRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.get(
    "/api/v1/status",
    {
      schema: {
        summary: "The controller and its nodes in figures",
        response: { 200: SiteStatus, ...REFUSALS },
      },
    },
    async () => {
      const nodes = await deps.inventory.listNodes();
      const statuses = nodes.map((node) => deps.fleet.statusOf(node.name));
      const states = statuses.map(({ state }) => state);
      const count = (state: (typeof states)[number]): number =>
        states.filter((other) => other === state).length;
      return {
        version: deps.version,
        startedAt: deps.startedAt.toISOString(),
        uptimeSeconds: Math.round((deps.now().getTime() - deps.startedAt.getTime()) / 1000),
        authorityFingerprint: deps.authority.fingerprint,
        nodes: {
          total: nodes.length,
          new: count("new"),
          booting: count("booting"),
          ready: count("ready"),
          unreachable: count("unreachable"),
          failed: count("failed"),
        },
        alerts: statuses.filter(({ alert }) => alert !== undefined).length,
        pending: (await deps.inventory.listPending()).length,
        images: (await deps.inventory.listImages()).length,
      };
    },
  );

  api.get(
    "/api/v1/authority",
    {
      schema: {
        summary: "The certificate of the authority, PEM, and its fingerprint",
        response: {
          200: Type.Object({ fingerprint: Type.String(), certificate: Type.String() }),
          ...REFUSALS,
        },
      },
    },
    async () => ({ fingerprint: deps.authority.fingerprint, certificate: deps.authority.certificatePem }),
  );

  api.get(
    "/api/v1/dhcp/snippet",
    {
      schema: {
        summary: "What to put into the site's own DHCP server",
        querystring: Type.Object({ format: SNIPPET_FORMAT }),
        response: { 200: Type.Object({ format: SNIPPET_FORMAT, text: Type.String() }), ...REFUSALS },
      },
    },
    async ({ query: { format } }) => ({ format, text: await deps.renderSnippet(format) }),
  );

  api.get(
    "/api/v1/doctor",
    {
      schema: { summary: "What would keep nodes from booting", response: { 200: FindingList, ...REFUSALS } },
    },
    async () => ({ findings: [...(await deps.runDoctor(AbortSignal.timeout(DOCTOR_DEADLINE_MS)))] }),
  );
}
