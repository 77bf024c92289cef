import { type Static, Type } from "typebox";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";

import { HardwareSchema } from "../../hardware/hardware-schema.ts";
import { planHardwareSummary } from "../../hardware/plan-hardware-summary.ts";
import type { Node } from "../../inventory/inventory.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { requestInvalid } from "./request-error.ts";
import { NODE_STATE, REFUSALS } from "./schemas.ts";
import { filterNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

/** Reports of more nodes than this are asked for in several requests: each can have a megabyte. */
const MAX_REPORT_NODES = 100;
/** Nodes read from the database at once, so that a list of all nodes keeps nobody waiting. */
const NODES_AT_ONCE = 50;
const KEPT_BOOTS = 5;

const Count = Type.Integer({ minimum: 0 });
const Counted = <T extends Type.TSchema>(value: T) => Type.Array(Type.Object({ count: Count, value }));
const ReportedBy = {
  node: Type.String(),
  bootId: Type.String(),
  digest: Type.String({ description: "SHA-256 of the report as the node sent it" }),
  reportedAt: Type.String({ format: "date-time", description: "when it last said so in this boot" }),
};
const HardwareLine = Type.Object({
  ...ReportedBy,
  cpus: Count,
  sockets: Count,
  coresPerSocket: Count,
  threadsPerCore: Count,
  memoryBytes: Count,
  gpus: Counted(Type.String()),
  ethernetMbps: Counted(Type.Number()),
  infinibandMbps: Counted(Type.Number()),
  diskBytes: Counted(Type.Number()),
  machine: Type.String(),
});
const Missing = Type.Array(Type.Object({ node: Type.String(), state: NODE_STATE }), {
  description: "nodes that have not reported yet, and what they do instead",
});
const HardwareList = Type.Object({ hardware: Type.Array(HardwareLine), missing: Missing });
export type HardwareList = Static<typeof HardwareList>;
export type HardwareLine = Static<typeof HardwareLine>;
export type MissingHardware = Static<typeof Missing>;

const ReportView = Type.Object({ ...ReportedBy, report: Type.Unsafe<HardwareReport>(HardwareSchema) });
export type ReportView = Static<typeof ReportView>;
const ReportList = Type.Object({ reports: Type.Array(ReportView), missing: Missing });
export type ReportList = Static<typeof ReportList>;

/** What the machines of nodes are. */
export function addHardwareRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory, fleet } = deps;

  async function chooseNodes(names: string | undefined): Promise<readonly Node[]> {
    const chosen = names === undefined ? await inventory.listNodes() : await filterNodeSet(deps, names);
    return chosen.toSorted((a, b) => compareNodeNames(a.name, b.name));
  }

  async function readReports(nodes: readonly Node[], boots: number): Promise<ReportList> {
    const stored = await inventory.listHardware(
      nodes.map(({ name }) => name),
      boots,
    );
    const byNode = Map.groupBy(stored, ({ node }) => node);
    return {
      reports: nodes.flatMap(({ name }) =>
        (byNode.get(name) ?? []).map((hardware) => ({
          ...hardware,
          reportedAt: hardware.reportedAt.toISOString(),
        })),
      ),
      missing: nodes
        .filter(({ name }) => !byNode.has(name))
        .map(({ name }) => ({ node: name, state: fleet.statusOf(name).state })),
    };
  }

  api.get(
    "/api/v1/hardware",
    {
      schema: {
        summary: "What the machines of nodes are, a line for each",
        querystring: Type.Object({ names: Type.Optional(Type.String({ description: "a node set" })) }),
        response: { 200: HardwareList, ...REFUSALS },
      },
    },
    async ({ query: { names } }) => {
      const nodes = await chooseNodes(names);
      const hardware: HardwareLine[] = [];
      const missing: MissingHardware = [];
      for (let at = 0; at < nodes.length; at += NODES_AT_ONCE) {
        const part = await readReports(nodes.slice(at, at + NODES_AT_ONCE), 1);
        for (const { report, ...reportedBy } of part.reports) {
          // Counted<> is readonly; what is sent is not changed any more.
          hardware.push({
            ...reportedBy,
            ...(planHardwareSummary(report) as Omit<HardwareLine, keyof typeof ReportedBy>),
          });
        }
        missing.push(...part.missing);
        await new Promise(setImmediate);
      }
      return { hardware, missing };
    },
  );

  api.get(
    "/api/v1/hardware/reports",
    {
      schema: {
        summary: "What nodes reported of their machines in their last boots, newest first within a node",
        querystring: Type.Object({
          names: Type.String({ description: `a node set of at most ${MAX_REPORT_NODES} nodes` }),
          boots: Type.Optional(Type.Integer({ minimum: 1, maximum: KEPT_BOOTS, default: 1 })),
        }),
        response: { 200: ReportList, ...REFUSALS },
      },
    },
    async ({ query: { names, boots = 1 } }) => {
      const nodes = await chooseNodes(names);
      if (nodes.length > MAX_REPORT_NODES) {
        throw requestInvalid([
          {
            at: "querystring names",
            what: `names ${nodes.length} nodes: ask for ${MAX_REPORT_NODES} at a time`,
          },
        ]);
      }
      return readReports(nodes, boots);
    },
  );
}
