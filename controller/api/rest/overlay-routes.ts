import { dirname } from "node:path";
import { Readable } from "node:stream";

import { type Static, Type } from "typebox";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";

import type { Node } from "../../inventory/inventory.ts";
import { readReactions } from "../../overlays/read-reactions.ts";
import type { NodeOverlay } from "../../overlays/serve-runtime-overlays.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { ErrorBody, REFUSALS } from "./schemas.ts";
import { filterNodeSet, selectNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

const Text = Type.String();
const Time = Type.String({ format: "date-time" });
const Count = Type.Integer({ minimum: 0 });

const OverlayView = Type.Object({
  name: Text,
  path: Text,
  system: Type.String({ description: "nodes that have it laid over their image, as a node set" }),
  runtime: Type.String({ description: "nodes on which it is kept true, as a node set" }),
  trouble: Type.Optional(Type.String({ description: "why it cannot be used as it is now" })),
  reactions: Type.Optional(
    Type.Array(Text, { description: "commands that its onChange has nodes run when files of it change" }),
  ),
});
export type OverlayView = Static<typeof OverlayView>;
const OverlayList = Type.Object({ overlays: Type.Array(OverlayView) });

const VERDICT = Type.Enum([
  "current",
  "outdated",
  "failed",
  "drifted",
  "reaction-failed",
  "unknown",
  "unreachable",
]);
const NodeOverlayView = Type.Object({
  node: Text,
  overlays: Type.Array(Text, { description: "runtime overlays, the first lowest" }),
  verdict: VERDICT,
  wanted: Type.Optional(Type.String({ description: "digest of the manifest it is to have" })),
  trouble: Type.Optional(Type.String({ description: "why there is no such manifest" })),
  applied: Type.Optional(Type.String({ description: "digest of the manifest it has" })),
  appliedAt: Type.Optional(Time),
  reportedAt: Type.Optional(Time),
  failure: Type.Optional(Type.Object({ digest: Text, code: Text, what: Text, fix: Text })),
  drift: Type.Array(Type.Object({ path: Text, what: Text, repaired: Type.Boolean() })),
  driftCount: Count,
  reactions: Type.Array(
    Type.Object({ command: Text, failure: Text, outputTail: Text, durationMs: Type.Number() }),
  ),
});
export type NodeOverlayView = Static<typeof NodeOverlayView>;

const OverlayStatusView = Type.Object({
  troubles: Type.Array(Type.Object({ overlay: Text, what: Text, fix: Type.Optional(Text) }), {
    description: "overlays in use that cannot be read as they are now; nodes keep what they have of them",
  }),
  nodes: Type.Array(NodeOverlayView),
});
export type OverlayStatusView = Static<typeof OverlayStatusView>;

const Refresh = Type.Object(
  {
    names: Type.String({ minLength: 1, description: "a node set" }),
    wait: Type.Optional(
      Type.Boolean({ description: "until they are done; otherwise only until they are asked" }),
    ),
    timeoutSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 3600, default: 60 })),
  },
  { additionalProperties: false },
);
const RefreshAnswer = Type.Object({
  node: Text,
  lines: Type.Optional(Type.Array(Text)),
  error: Type.Optional(Type.Object({ code: Text, what: Text, fix: Type.Optional(Text) })),
});
export type RefreshAnswer = Static<typeof RefreshAnswer>;

/** Overlays, and how nodes stand to those that are kept true on them. */
export function addOverlayRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.get(
    "/api/v1/overlays",
    { schema: { summary: "Static overlays and who has them", response: { 200: OverlayList, ...REFUSALS } } },
    async () => ({ overlays: await listUse(deps) }),
  );

  api.get(
    "/api/v1/overlay-status",
    {
      schema: {
        summary: "How nodes stand to their runtime overlays",
        querystring: Type.Object({ names: Type.Optional(Type.String({ description: "a node set" })) }),
        response: { 200: OverlayStatusView, ...REFUSALS },
      },
    },
    async ({ query: { names } }) => {
      const chosen =
        names === undefined ? await deps.inventory.listNodes() : await filterNodeSet(deps, names);
      const nodes = chosen
        .toSorted((a, b) => compareNodeNames(a.name, b.name))
        .flatMap(({ name }) => {
          const status = deps.runtimeOverlays.statusOf(name);
          return status === undefined ? [] : [presentNodeOverlay(name, status)];
        });
      const used = new Set(nodes.flatMap(({ overlays }) => overlays));
      const troubles = deps.runtimeOverlays
        .troubles()
        .filter(({ overlay }) => used.has(overlay))
        .map(({ overlay, what, fix }) => ({ overlay, what, ...(fix === undefined ? {} : { fix }) }));
      return { troubles, nodes };
    },
  );

  api.post(
    "/api/v1/overlay-refreshes",
    {
      schema: {
        summary: "Have nodes look at their runtime overlay now; a line of JSON for each, as it answers",
        body: Refresh,
        response: { 200: RefreshAnswer, "4xx": ErrorBody, "5xx": ErrorBody },
      },
    },
    async ({ body, raw }, reply) => {
      const nodes = (await selectNodeSet(deps, body.names)).map(({ name }) => name);
      const stop = new AbortController();
      raw.socket.once("close", () => {
        stop.abort(new Error("nobody waits for the answer any more"));
      });
      const deadlineMs = (body.timeoutSeconds ?? 60) * 1000;
      const ask = (node: NodeName): Promise<RefreshAnswer> =>
        refresh(deps, node, { deadlineMs, wait: body.wait === true, signal: stop.signal });
      return reply
        .type("application/x-ndjson")
        .serializer(String)
        .send(Readable.from(linesAsTheyCome(nodes.map(ask))) as never);
    },
  );
}

async function refresh(
  { directives }: Pick<ApiDependencies, "directives">,
  node: NodeName,
  options: { readonly deadlineMs: number; readonly wait: boolean; readonly signal: AbortSignal },
): Promise<RefreshAnswer> {
  const { deadlineMs, wait, signal } = options;
  // Whoever does not wait may go; the node goes on.
  const answered = directives
    .send(node, { $case: "refreshOverlay", value: {} }, wait ? { deadlineMs, signal } : { deadlineMs })
    .then(
      (lines): RefreshAnswer => ({ node, lines: [...lines] }),
      (error: unknown): RefreshAnswer => {
        if (!(error instanceof MusterError))
          return { node, error: { code: "internal", what: "musterd gave up" } };
        const { code, message: what, fix } = error;
        return { node, error: { code, what, ...(fix === undefined ? {} : { fix }) } };
      },
    );
  if (wait) return answered;
  // A node without a session is known at once; every other has been asked by then.
  const asked = new Promise<RefreshAnswer>((resolve) => {
    setImmediate(resolve, { node, lines: [] });
  });
  return Promise.race([answered, asked]);
}

/** In the order of the answers. */
async function* linesAsTheyCome(answers: readonly Promise<RefreshAnswer>[]): AsyncGenerator<string> {
  const ready: RefreshAnswer[] = [];
  let wake = Promise.withResolvers<undefined>();
  for (const answer of answers) {
    void answer.then((value) => {
      ready.push(value);
      wake.resolve(undefined);
    });
  }
  for (let left = answers.length; left > 0; ) {
    await wake.promise;
    wake = Promise.withResolvers<undefined>();
    const now = ready.splice(0);
    left -= now.length;
    for (const answer of now) yield `${JSON.stringify(answer)}\n`;
  }
}

async function listUse(deps: ApiDependencies): Promise<OverlayView[]> {
  const nodes = await deps.inventory.listNodes();
  const troubles = new Map(deps.runtimeOverlays.troubles().map(({ overlay, what }) => [overlay, what]));
  const found = new Map((await deps.listOverlays()).map(({ name, path }) => [name, path]));
  const system = usersOf(nodes, ({ overlays }) => overlays);
  const runtime = usersOf(nodes, ({ name }) => deps.runtimeOverlays.statusOf(name)?.overlays ?? []);
  const reactions = new Map(
    await Promise.all(
      [...found].map(async ([name, path]) => [name, await readReactions(dirname(path))] as const),
    ),
  );
  return [...found]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, path]) => {
      const trouble = troubles.get(name);
      const commands = reactions.get(name) ?? [];
      return {
        name,
        path,
        system: foldNodeSet(system.get(name) ?? []),
        runtime: foldNodeSet(runtime.get(name) ?? []),
        ...(trouble === undefined ? {} : { trouble }),
        ...(commands.length === 0 ? {} : { reactions: [...commands] }),
      };
    });
}

function usersOf(
  nodes: readonly Node[],
  overlaysOf: (node: Node) => readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const users = new Map<string, string[]>();
  for (const node of nodes) {
    for (const overlay of overlaysOf(node)) {
      const known = users.get(overlay);
      if (known === undefined) users.set(overlay, [node.name]);
      else known.push(node.name);
    }
  }
  return users;
}

function presentNodeOverlay(
  node: NodeName,
  { overlays, verdict, wanted, trouble, report }: NodeOverlay,
): NodeOverlayView {
  return {
    node,
    overlays: [...overlays],
    verdict,
    ...(wanted === undefined ? {} : { wanted }),
    ...(trouble === undefined ? {} : { trouble }),
    ...(report?.digest === undefined ? {} : { applied: report.digest }),
    ...(report?.appliedAt === undefined ? {} : { appliedAt: report.appliedAt.toISOString() }),
    ...(report === undefined ? {} : { reportedAt: report.reportedAt.toISOString() }),
    ...(report?.failure === undefined ? {} : { failure: report.failure }),
    drift: (report?.drift ?? []).map((drift) => ({ ...drift })),
    driftCount: report?.driftCount ?? 0,
    reactions: (report?.reactions ?? []).map((reaction) => ({ ...reaction })),
  };
}
