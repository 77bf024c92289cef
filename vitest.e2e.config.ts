import { defineConfig } from "vitest/config";

/** Whole nodes. A lab has a network of its own and waits more than it computes: two at a time use two cores well. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    maxWorkers: 2,
    // What each test waits for has a deadline of its own, which says what was missing. These end only what hangs.
    testTimeout: 1_500_000,
    hookTimeout: 1_500_000,
    env: { MUSTER_TEST_PATIENCE: "4" },
    teardownTimeout: 60_000,
    bail: 0,
  },
});
