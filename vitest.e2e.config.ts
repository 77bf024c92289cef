import { defineConfig } from "vitest/config";

/** Whole nodes. A lab has a network of its own and waits more than it computes: two at a time use two cores well. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    bail: 0,
  },
});
