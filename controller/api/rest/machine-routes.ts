import { type Static, Type } from "typebox";

import { readMacAddress, type MacAddress } from "#proto/contract/mac-address.ts";

import type { Author } from "../../inventory/inventory.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { knownNode } from "./node-routes.ts";
import { requestInvalid } from "./request-error.ts";
import { NameParam, REFUSALS } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

const STRICT = { additionalProperties: false } as const;
const Text = Type.String();
const Revision = Type.Integer({ minimum: 1, description: "the one you saw" });
const Reason = Type.Optional(Type.String({ maxLength: 4096, pattern: "^[^\\p{Cc}]*$" }));
const DryRun = Type.Optional(Type.Boolean({ description: "check everything, change nothing" }));

const Replacement = Type.Object(
  {
    mac: Text,
    serial: Type.Optional(Type.String({ minLength: 1, maxLength: 128, pattern: "^[\\x20-\\x7e]+$" })),
    revision: Revision,
    reason: Reason,
    dryRun: DryRun,
  },
  STRICT,
);
const ReplacementResult = Type.Object({
  id: Type.Optional(Type.Integer({ description: "number of the change in the history" })),
  approved: Type.Optional(
    Type.String({ description: "claim code of the machine that waited with this MAC and is the node now" }),
  ),
});
export type ReplacementResult = Static<typeof ReplacementResult>;

const Swap = Type.Object(
  {
    nodes: Type.Array(Type.Object({ name: Text, revision: Revision }, STRICT), { minItems: 2, maxItems: 2 }),
    reason: Reason,
    dryRun: DryRun,
  },
  STRICT,
);
const SwapResult = Type.Object({ id: Type.Optional(Type.Integer()) });
export type SwapResult = Static<typeof SwapResult>;

const RefusedView = Type.Object({
  mac: Text,
  macs: Type.Array(Text),
  smbiosUuid: Type.Optional(Text),
  serial: Type.Optional(Text),
  node: Text,
  user: Text,
  reason: Type.Optional(Text),
  at: Type.String({ format: "date-time" }),
});
export type RefusedView = Static<typeof RefusedView>;
const RefusedList = Type.Object({ refused: Type.Array(RefusedView) });
export type RefusedList = Static<typeof RefusedList>;

/** Which machine is behind a node. */
export function addMachineRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory, telemetry } = deps;

  api.post(
    "/api/v1/nodes/:name/replace",
    {
      schema: {
        summary: "Another machine is the node from now on; the one that was is refused",
        params: NameParam,
        body: Replacement,
        response: { 200: ReplacementResult, ...REFUSALS },
      },
    },
    async ({ params, body: { mac: text, serial, revision, reason, dryRun = false }, author }) => {
      const node = await knownNode(deps, params.name);
      const mac = readMac(text, "mac");
      const by = authorFor(author, reason);
      const machine = { mac, revision, ...(serial === undefined ? {} : { serial }) };
      const { id } = await inventory.replaceMachine(node.name, machine, by, { dryRun });
      if (id === undefined) return {};
      telemetry.recordEvent({
        severity: "info",
        kind: "machine-replaced",
        node: node.name,
        what: `${mac} is ${node.name} from now on, said ${by.user}; the machine that was is not let in any more`,
        fix: `power-cycle the new machine; to let the old one in again: muster node refused list`,
      });
      const waiting = (await inventory.listPending()).find(({ bootMac }) => bootMac === mac);
      if (waiting === undefined) return { id };
      await deps.enrolments.approve(waiting.claimCode, { name: node.name, fields: {} }, by);
      return { id, approved: waiting.claimCode };
    },
  );

  api.post(
    "/api/v1/nodes/swap",
    {
      schema: {
        summary: "Exchange the machines behind two nodes",
        body: Swap,
        response: { 200: SwapResult, ...REFUSALS },
      },
    },
    async ({ body: { nodes, reason, dryRun = false }, author }) => {
      const [a, b] = await Promise.all(
        nodes.map(async ({ name, revision }) => ({ name: (await knownNode(deps, name)).name, revision })),
      );
      if (a === undefined || b === undefined) throw new Error("the schema wants two");
      const by = authorFor(author, reason);
      const { id } = await inventory.swapMachines([a, b], by, { dryRun });
      if (id === undefined) return {};
      telemetry.recordEvent({
        severity: "info",
        kind: "machines-swapped",
        what: `the machines of ${a.name} and ${b.name} were swapped by ${by.user}`,
        fix: `power-cycle both: muster reboot ${a.name},${b.name} cannot reach them`,
      });
      return { id };
    },
  );

  api.get(
    "/api/v1/refused",
    {
      schema: {
        summary: "Machines that were replaced and are not let in",
        response: { 200: RefusedList, ...REFUSALS },
      },
    },
    async () => ({
      refused: (await inventory.listRefusedMachines()).map(({ at, macs, ...rest }) => ({
        ...rest,
        macs: [...macs],
        at: at.toISOString(),
      })),
    }),
  );

  api.post(
    "/api/v1/refused/readmit",
    {
      schema: {
        summary: "Let a machine that was replaced ask to enrol again",
        body: Type.Object({ mac: Text, reason: Reason }, STRICT),
        response: { 200: RefusedList, ...REFUSALS },
      },
    },
    async ({ body: { mac, reason }, author }) => {
      await inventory.readmitMachine(readMac(mac, "mac"), authorFor(author, reason));
      telemetry.recordEvent({
        severity: "info",
        kind: "machine-readmitted",
        what: `the machine with ${mac} may ask to enrol again, said ${author.user}`,
      });
      return { refused: [] };
    },
  );
}

function readMac(text: string, at: string): MacAddress {
  const mac = readMacAddress(text);
  if (mac === undefined)
    throw requestInvalid([{ at, what: `${JSON.stringify(text.slice(0, 40))} is no MAC address` }]);
  return mac;
}

function authorFor(author: Author, reason: string | undefined): Author {
  return reason === undefined ? author : { ...author, reason };
}
