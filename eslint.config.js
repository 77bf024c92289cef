import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "proto/gen/", ".cache/", "**/*.js", "**/*.mjs", "**/*.cjs"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      // Promise-returning functions without an await are how an interface with one synchronous
      // implementation is written; the floating- and misused-promise rules guard the real danger.
      "@typescript-eslint/require-await": "off",
      "no-restricted-syntax": [
        "error",
        {
          selector: "ExportDefaultDeclaration",
          message: "no default exports (configuration files excepted)",
        },
        { selector: "TSEnumDeclaration", message: "use a union or `as const satisfies`, not an enum" },
      ],
      "no-restricted-imports": [
        "error",
        {
          paths: [
            { name: "node:child_process", message: "start processes through #proto/host/run-command.ts" },
          ],
        },
      ],
    },
  },
  { files: ["proto/host/run-command.ts"], rules: { "no-restricted-imports": "off" } },
  { files: ["*.config.ts"], rules: { "no-restricted-syntax": "off" } },
);
