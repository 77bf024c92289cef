import { defineConfig } from "vitest/config";

/** Whole nodes: each file starts virtual machines, so files run one after the other. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    bail: 0,
  },
});
