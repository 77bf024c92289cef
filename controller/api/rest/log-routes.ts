import { type Static, Type } from "typebox";

import type { LogLine, LogQuery } from "../../events/log-history.ts";
import { parseKernelLog } from "../../sessions/parse-kernel-log.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { followRecords, openFollowers } from "./follow-records.ts";
import { knownNode } from "./node-routes.ts";
import { REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

const DEFAULT_LINES = 200;
const MAX_LINES = 10_000;
/** Boots looked at for one that failed and is asked for. */
const MAX_BOOTS = 1000;

const LogLineView = Type.Object({
  id: Type.Integer({ description: "order of arrival; 0 for lines of the kernel log of a boot that failed" }),
  at: Type.String({ format: "date-time", description: "by the node's clock" }),
  boot: Type.String(),
  source: Type.String({ description: "boot, agent, reaction, kernel, muster" }),
  text: Type.String(),
});
export type LogLineView = Static<typeof LogLineView>;
const LogLineList = Type.Object({ lines: Type.Array(LogLineView) });

/** What nodes said. */
export function addLogRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { logs } = deps;
  const followers = openFollowers(api);
  api.get(
    "/api/v1/nodes/:name/logs",
    {
      schema: {
        summary: "What a node said, oldest first; with follow=true a stream of JSON lines that goes on",
        params: Type.Object({ name: Type.String() }),
        querystring: Type.Object({
          boot: Type.Optional(
            Type.String({
              pattern: "^[0-9a-fA-F-]{1,64}$",
              description:
                "a boot id or how it begins; if that boot failed, the end of its kernel log is given too",
            }),
          ),
          after: Type.Optional(Type.Integer({ minimum: 0 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LINES, default: DEFAULT_LINES })),
          follow: Type.Optional(Type.Boolean()),
        }),
        response: { 200: LogLineList, ...REFUSALS },
      },
    },
    async ({ params, query: { boot, after, limit = DEFAULT_LINES, follow }, raw }, reply) => {
      const { name: node } = await knownNode(deps, params.name);
      const of: LogQuery = { node, limit, ...(boot === undefined ? {} : { boot: boot.toLowerCase() }) };
      const from = { limit, ...(after === undefined ? {} : { afterId: after }) };
      if (follow !== true) {
        const lines = (await logs.listLogs({ ...of, ...from })).map(presentLine);
        const kernel = of.boot === undefined ? [] : await listKernelLog(deps, node, of.boot);
        // Otherwise as they came: the clock of a node is put right while it boots.
        if (kernel.length === 0) return { lines };
        return { lines: [...lines, ...kernel].toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)) };
      }
      return followers.stream(raw, reply, (signal) =>
        followRecords<LogLine>(
          {
            list: (page) => logs.listLogs({ ...of, ...page }),
            listen: (hear) =>
              logs.onLogs((lines) => {
                const mine = lines.filter((line) => isOf(line, of));
                if (mine.length > 0) hear(mine);
              }),
            present: presentLine,
          },
          from,
          signal,
        ),
      );
    },
  );
}

function isOf(line: LogLine, { node, boot }: LogQuery): boolean {
  return line.node === node && (boot === undefined || line.bootId.startsWith(boot));
}

function presentLine({ id, at, bootId, source, text }: LogLine): LogLineView {
  return { id, at: at.toISOString(), boot: bootId, source, text };
}

/** The end of the kernel log of a boot that failed, which is kept with the boot. */
async function listKernelLog(
  { telemetry }: ApiDependencies,
  node: string,
  boot: string,
): Promise<readonly LogLineView[]> {
  const boots = await telemetry.listBoots({ node, limit: MAX_BOOTS });
  return boots
    .filter(({ bootId }) => bootId.startsWith(boot))
    .flatMap(({ bootId, startedAt, failure }) =>
      parseKernelLog(failure?.kernelLogTail ?? "", startedAt).map(({ at, text }) => ({
        ...{ id: 0, at: at.toISOString(), boot: bootId, source: "kernel", text },
      })),
    );
}
