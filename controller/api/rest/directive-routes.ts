import { type Static, Type } from "typebox";

import { CHECK_NAMES } from "#proto/contract/check-verdict.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";

import type { Node } from "../../inventory/inventory.ts";
import { askNodes, type NodeAnswer } from "../../sessions/ask-nodes.ts";
import { parsePrintable } from "../../sessions/parse-boot-report.ts";
import { planReboot } from "../../sessions/plan-reboot.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { NODE_STATE, REFUSALS } from "./schemas.ts";
import { selectNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

/** A restart is answered before it is begun. */
const REBOOT_DEADLINE_MS = 15_000;
/** Reading every file of an overlay on a node that computes. */
const CHECK_DEADLINE_MS = 60_000;
const MAX_REASON = 200;

const Text = Type.String();
const Count = Type.Integer({ minimum: 0 });
const NodeSet = Type.String({ minLength: 1, description: "a node set: c[001-064],login" });

const AnswerView = Type.Object({
  node: Text,
  lines: Type.Optional(Type.Array(Text, { description: "what it answered" })),
  error: Type.Optional(
    Type.Object({ code: Text, what: Text, fix: Type.Optional(Text) }, { description: "why it did not" }),
  ),
});
export type AnswerView = Static<typeof AnswerView>;
const AnswerList = Type.Object({ answers: Type.Array(AnswerView) });
export type AnswerList = Static<typeof AnswerList>;

const RebootPreviewView = Type.Object({
  node: Text,
  state: NODE_STATE,
  obstacle: Type.Optional(Type.String({ description: "why it cannot be asked" })),
  now: Type.Optional(Type.Object({ image: Text, version: Count })),
  next: Type.Optional(Type.Object({ image: Text, version: Count, kernelRelease: Text })),
  trouble: Type.Optional(
    Type.Object({ what: Text, fix: Text }, { description: "why its next boot gets nothing" }),
  ),
  kernelBefore: Type.Optional(Type.String({ description: "when the next kernel is another one" })),
  overlays: Type.Array(Text),
});
export type RebootPreviewView = Static<typeof RebootPreviewView>;
const RebootPlanView = Type.Object({ nodes: Type.Array(RebootPreviewView) });
export type RebootPlanView = Static<typeof RebootPlanView>;

/** What running nodes are asked to do. */
export function addDirectiveRoutes(api: TypedApi, deps: ApiDependencies): void {
  const { inventory, fleet, telemetry, directives } = deps;
  const present = (answers: readonly NodeAnswer[]): AnswerList => ({ answers: answers.map(presentAnswer) });

  api.get(
    "/api/v1/reboot-plan",
    {
      schema: {
        summary: "What a restart would do to nodes",
        querystring: Type.Object({ names: NodeSet }),
        response: { 200: RebootPlanView, ...REFUSALS },
      },
    },
    async ({ query }) => {
      const images = await inventory.listImages();
      const nodes = await chooseNodes(deps, query.names);
      const site = { images, defaultImage: deps.defaultImage };
      return {
        nodes: nodes.map((node) => {
          const { overlays, ...preview } = planReboot(node, fleet.statusOf(node.name), site);
          return { ...preview, overlays: [...overlays] };
        }),
      };
    },
  );

  api.post(
    "/api/v1/reboots",
    {
      schema: {
        summary: "Restart running nodes; each answers before it does",
        body: Type.Object(
          { names: NodeSet, force: Type.Optional(Type.Boolean()), reason: Type.Optional(Text) },
          { additionalProperties: false },
        ),
        response: { 200: AnswerList, ...REFUSALS },
      },
    },
    async ({ body, author }) => {
      const nodes = (await chooseNodes(deps, body.names)).map(({ name }) => name);
      const why = parsePrintable(body.reason ?? "", MAX_REASON);
      const by = why === "" ? author.user : `${author.user}: ${why}`;
      const ask = async (node: NodeName): Promise<NodeAnswer> => {
        telemetry.recordEvent({
          severity: "info",
          kind: "reboot-asked",
          node,
          what: `reboot of ${node} asked by ${by}${body.force === true ? ", by force" : ""}`,
        });
        const [answer] = await askNodes(
          directives,
          [node],
          () => ({ $case: "reboot", value: { reason: `asked by ${by}`, force: body.force === true } }),
          { deadlineMs: REBOOT_DEADLINE_MS },
        );
        if (answer === undefined) throw new Error(`no answer about ${node}`);
        if ("lines" in answer) fleet.restartAnswered(node, deps.now());
        return answer;
      };
      return present(await Promise.all(nodes.map(ask)));
    },
  );

  api.post(
    "/api/v1/checks",
    {
      schema: {
        summary: "Check running nodes",
        body: Type.Object(
          { names: NodeSet, check: Type.Optional(Type.Enum([...CHECK_NAMES])) },
          { additionalProperties: false },
        ),
        response: { 200: AnswerList, ...REFUSALS },
      },
    },
    async ({ body }) => {
      const nodes = await chooseNodes(deps, body.names);
      const answers = await askNodes(
        directives,
        nodes.map(({ name }) => name),
        () => ({
          $case: "runCheck",
          value: { name: body.check ?? "", controllerTimeMs: deps.now().getTime() },
        }),
        { deadlineMs: CHECK_DEADLINE_MS },
      );
      return present(answers);
    },
  );
}

async function chooseNodes(deps: ApiDependencies, names: string): Promise<readonly Node[]> {
  const chosen = await selectNodeSet(deps, names);
  return chosen.toSorted((a, b) => compareNodeNames(a.name, b.name));
}

function presentAnswer(answer: NodeAnswer): AnswerView {
  if ("lines" in answer) return { node: answer.node, lines: [...answer.lines] };
  const { code, message: what, fix } = answer.error;
  return { node: answer.node, error: { code, what, ...(fix === undefined ? {} : { fix }) } };
}
