import { describe, expect, test } from "vitest";

import type { HookView, LastHookRun } from "./open-hooks.ts";
import { planHookFindings } from "./plan-hook-findings.ts";

const RAN: LastHookRun = {
  ...{ event: "node-down", about: "c[001-064]", at: new Date(0), outcome: "ok", exitCode: 0 },
  ...{ what: "", stdout: "", stderr: "", ms: 5 },
};
const hook = (parts: Partial<HookView>): HookView => ({
  ...{
    name: "slurm",
    path: "/etc/muster/hooks.d/slurm",
    trust: { verdict: "run" },
    waiting: 0,
    last: undefined,
  },
  ...parts,
});

describe("planHookFindings", () => {
  test("has nothing to say where there are no hooks, nor of files that are none", () => {
    expect(planHookFindings([])).toEqual([]);
    expect(planHookFindings([hook({ trust: { verdict: "ignore", why: "it is not executable" } })])).toEqual(
      [],
    );
  });

  test("is content with hooks that ran well or have not run yet", () => {
    expect(planHookFindings([hook({}), hook({ last: RAN })])).toEqual([
      { check: "hooks", status: "ok", what: "2 hooks, and nothing is wrong with them" },
    ]);
  });

  test("names what is not run, and what failed when it ran last", () => {
    const failed = {
      ...RAN,
      outcome: "failed",
      exitCode: 1,
      what: "exited with 1",
      stderr: "a\nno slurmctld",
    } as const;
    const refused = { verdict: "refuse", why: "it may be written by others", fix: "chmod go-w it" } as const;
    expect(planHookFindings([hook({}), hook({ last: failed }), hook({ name: "x", trust: refused })])).toEqual(
      [
        {
          check: "hooks",
          status: "warning",
          what: "hook slurm failed when it ran last, at node-down of c[001-064]: exited with 1: no slurmctld",
          fix: "look at /etc/muster/hooks.d/slurm; try it: muster hook run node-down",
        },
        {
          check: "hooks",
          status: "error",
          what: "hook x is not run: it may be written by others",
          fix: "chmod go-w it",
        },
      ],
    );
  });
});
