/** The arrows of the house: see ARCHITECTURE.md section 1. */
const programs = ["agent", "controller", "initramfs"];
const others = (p) => programs.filter((x) => x !== p).join("|");
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    ...programs.map((p) => ({
      name: `${p}-stands-alone`,
      comment:
        "programs meet on the wire, never by import; unit tests may use what test/fixtures has for them",
      severity: "error",
      from: { path: `^${p}/` },
      to: { path: `^(${others(p)}|test/(?!fixtures/)|packaging)/` },
    })),
    {
      name: "proto-imports-no-program",
      severity: "error",
      from: { path: "^proto/" },
      to: { path: `^(${programs.join("|")}|test|packaging)/` },
    },
    {
      name: "contract-is-pure",
      comment: "proto/contract holds values and decisions only: no effects, no packages",
      severity: "error",
      from: { path: "^proto/contract/", pathNot: "\\.test\\.ts$" },
      to: { pathNot: "^proto/contract/" },
    },
    {
      name: "sql-only-in-inventory",
      comment: "controller/inventory and the telemetry store beside it are the only SQL",
      severity: "error",
      from: { pathNot: "^controller/inventory/" },
      to: { path: "node_modules/(kysely|better-sqlite3)" },
    },
    {
      name: "processes-only-in-run-command",
      severity: "error",
      // bootstrap.mjs runs before anything is installed, and without type stripping.
      from: { pathNot: "^(proto/host/run-command\\.ts|packaging/bootstrap\\.mjs)$" },
      to: { path: "^(node:)?child_process$", dependencyTypes: ["core"] },
    },
    {
      name: "decisions-are-pure",
      comment: "parse- plan- render- validate- files hold decisions and touch nothing",
      severity: "error",
      from: { path: "/(parse|plan|render|validate)-[^/]+\\.ts$", pathNot: "\\.test\\.ts$" },
      to: {
        dependencyTypes: ["core"],
        pathNot: "^(node:)?(path|path/posix|crypto|net|buffer|url|assert|util)$",
      },
    },
    {
      name: "no-test-in-product",
      severity: "error",
      from: { pathNot: "(\\.test\\.ts$|^test/)" },
      to: { path: "(\\.test\\.ts$|^test/)" },
    },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|node_modules/@types)/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};
