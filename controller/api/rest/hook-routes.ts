import { type Static, Type } from "typebox";

import { MusterError } from "#proto/contract/muster-error.ts";

import { HOOK_EVENTS, type HookBatch, hookChangeOf } from "../../hooks/hook-event.ts";
import type { HookView as FoundHookView, LastHookRun } from "../../hooks/open-hooks.ts";
import { renderHookInput } from "../../hooks/render-hook-input.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { unknownChange } from "./request-error.ts";
import { REFUSALS } from "./schemas.ts";
import { selectNodeSet } from "./select-node-set.ts";
import type { TypedApi } from "./typed-api.ts";

const Text = Type.String();
const Event = Type.Enum([...HOOK_EVENTS]);
const HookRunView = Type.Object({
  event: Event,
  about: Text,
  at: Type.String({ format: "date-time" }),
  outcome: Type.Enum(["ok", "failed", "timed-out"]),
  exitCode: Type.Optional(Type.Integer()),
  what: Text,
  stdout: Text,
  stderr: Text,
  ms: Type.Integer(),
});

const HookView = Type.Object({
  name: Text,
  path: Text,
  verdict: Type.Enum(["run", "ignore", "refuse"], {
    description: "refuse: others could write what musterd would run",
  }),
  why: Type.Optional(Text),
  fix: Type.Optional(Text),
  waiting: Type.Integer({ description: "things that happened and were not told to it yet" }),
  last: Type.Optional(HookRunView),
});
export type HookView = Static<typeof HookView>;
const HookList = Type.Object({ directory: Text, hooks: Type.Array(HookView) });
export type HookList = Static<typeof HookList>;

const HookTest = Type.Object(
  {
    event: Event,
    names: Type.Optional(Type.String({ minLength: 1, description: "a node set, for events of nodes" })),
    change: Type.Optional(
      Type.Integer({ minimum: 1, description: "for change-committed; absent: the last" }),
    ),
    dryRun: Type.Optional(Type.Boolean({ description: "run nothing; tell what would be" })),
  },
  { additionalProperties: false },
);
const HookTestResult = Type.Object({
  input: Type.Unsafe<object>({ type: "object", additionalProperties: true, description: "what hooks read" }),
  runs: Type.Array(Type.Object({ name: Text, run: Type.Optional(HookRunView) })),
});
export type HookTestResult = Static<typeof HookTestResult>;

/** The site's programs that musterd runs. */
export function addHookRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.get(
    "/api/v1/hooks",
    { schema: { summary: "Hooks, and how each ran last", response: { 200: HookList, ...REFUSALS } } },
    async () => ({
      directory: deps.hooks.directory,
      hooks: (await deps.hooks.list()).map(presentHook),
    }),
  );

  api.post(
    "/api/v1/hooks/run",
    {
      schema: {
        summary: "Run all hooks now, as if something had happened",
        body: HookTest,
        response: { 200: HookTestResult, ...REFUSALS },
      },
    },
    async ({ body: { dryRun, ...asked } }) => {
      const batch = await batchOf(deps, asked);
      const input = JSON.parse(renderHookInput(batch, deps.now())) as object;
      if (dryRun === true) {
        const usable = (await deps.hooks.list()).filter(({ trust }) => trust.verdict === "run");
        return { input, runs: usable.map(({ name }) => ({ name })) };
      }
      const runs = await deps.hooks.test(batch);
      return { input, runs: runs.map(({ name, ...run }) => ({ name, run: presentRun(run) })) };
    },
  );
}

async function batchOf(
  deps: ApiDependencies,
  { event, names, change }: Pick<Static<typeof HookTest>, "event" | "names" | "change">,
): Promise<HookBatch> {
  if (event !== "change-committed") {
    if (names === undefined) {
      throw new MusterError({
        code: "argument-invalid",
        what: `${event} is about nodes, and none is named`,
        fix: `muster hook run ${event} --node NODESET`,
      });
    }
    const nodes = await selectNodeSet(deps, names);
    return { event, nodes: nodes.map(({ name }) => deps.hooks.describeNode(name)), changes: [] };
  }
  const [last] = change === undefined ? await deps.inventory.listChanges({ limit: 1 }) : [];
  const found = await deps.inventory.findChange(change ?? last?.id ?? 0);
  if (found === undefined) {
    if (change !== undefined) throw unknownChange(change);
    throw new MusterError({ code: "change-unknown", what: "nothing was changed yet" });
  }
  return { event, nodes: [], changes: [hookChangeOf(found)] };
}

function presentHook({ name, path, trust, waiting, last }: FoundHookView): HookView {
  return {
    ...{ name, path, waiting, verdict: trust.verdict },
    ...(trust.verdict === "run" ? {} : { why: trust.why }),
    ...(trust.verdict === "refuse" ? { fix: trust.fix } : {}),
    ...(last === undefined ? {} : { last: presentRun(last) }),
  };
}

function presentRun({ at, ...run }: LastHookRun): Static<typeof HookRunView> {
  return { ...run, at: at.toISOString() };
}
