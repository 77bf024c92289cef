import { expect, test } from "vitest";

import type { NodeView } from "../../api/rest/schemas.ts";
import {
  isRestartOver,
  planRestartProgress,
  planRestartVerdict,
  type RestartPhase,
  type RestartProgress,
} from "./plan-reboot-wait.ts";

const node = { node: "c001", bootBefore: "old" };
const failure = {
  stage: "fetch",
  code: "blob-corrupt",
  what: "layer 1 does not verify",
  fix: "import again",
};

test.each<[NodeView["status"] | undefined, string, string, string]>([
  [
    { state: "ready", bootId: "old" },
    "going-down",
    "going down",
    "did not go down within 15 min: still up in the boot it was asked in",
  ],
  [
    { state: "booting", stage: "restarting", bootId: "old" },
    "down",
    "down",
    "went down, and gave no sign of its next boot within 15 min",
  ],
  [
    { state: "unreachable", bootId: "old" },
    "down",
    "down",
    "went down, and gave no sign of its next boot within 15 min",
  ],
  [
    { state: "failed", bootId: "old" },
    "down",
    "down",
    "went down, and gave no sign of its next boot within 15 min",
  ],
  [{ state: "booting" }, "booting", "booting", "still booting after 15 min"],
  [
    { state: "booting", stage: "fetch", bootId: "new" },
    "booting",
    "booting (fetch)",
    "still booting (fetch) after 15 min",
  ],
  [
    { state: "unreachable", bootId: "new" },
    "booting",
    "not reachable again",
    "still not reachable again after 15 min",
  ],
  [{ state: "new" }, "booting", "booting", "still booting after 15 min"],
  [
    { state: "failed", bootId: "new", failure },
    "failed",
    "failed at fetch: layer 1 does not verify",
    "failed at fetch: layer 1 does not verify",
  ],
  [{ state: "failed", bootId: "new" }, "failed", "failed", "failed"],
  [{ state: "ready", bootId: "new" }, "ready", "ready", "ready"],
  [undefined, "gone", "was deleted", "was deleted"],
])("%o", (status, phase, text, verdict) => {
  const progress = planRestartProgress(node, status);
  expect(progress).toEqual({ node: "c001", phase, text });
  expect(planRestartVerdict(progress, "15 min")).toBe(verdict);
});

test("it is over when all are ready, or what failed has failed for a minute", () => {
  const at = (phase: RestartPhase, sinceMs: number): RestartProgress & { readonly sinceMs: number } => ({
    ...{ node: "c001", text: "", phase, sinceMs },
  });
  expect(isRestartOver([at("ready", 0), at("gone", 0)], 0)).toBe(true);
  expect(isRestartOver([at("ready", 0), at("down", 0)], 999_999)).toBe(false);
  expect(isRestartOver([at("failed", 1000)], 60_999)).toBe(false);
  expect(isRestartOver([at("failed", 1000)], 61_000)).toBe(true);
});
