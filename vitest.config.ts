import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{proto,agent,controller,initramfs,test}/**/*.test.ts"],
    exclude: ["test/e2e/**", "node_modules/**", "dist/**"],
    testTimeout: 20_000,
    // Unless told, one core is left idle: half of the two that small runners have.
    maxWorkers: "100%",
    restoreMocks: true,
  },
});
