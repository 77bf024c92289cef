import { expect, it } from "vitest";

import { renderConfigFindings } from "../config/config-finding.ts";
import { planGendersImport } from "./plan-genders-import.ts";

it("attributes are tags, and profiles where one says so", () => {
  const text = "c[1-2] compute,fast,rack=7,role=gpu\nlogin role=login\n";
  const { nodes, findings, leftOver } = planGendersImport(text, { profiles: new Set(["compute", "role"]) });
  expect({ findings, leftOver }).toEqual({ findings: [], leftOver: [] });
  const tags = [
    { path: ["tags", "fast"], value: "", line: 1, column: 16 },
    { path: ["tags", "rack"], value: "7", line: 1, column: 21 },
  ];
  const profiles = { path: ["profiles"], value: ["compute", "gpu"], line: 1, column: 8, isAppended: true };
  expect(nodes).toEqual([
    { name: "c1", line: 1, column: 1, settings: [profiles, ...tags] },
    { name: "c2", line: 1, column: 1, settings: [profiles, ...tags] },
    {
      name: "login",
      line: 2,
      column: 1,
      settings: [{ path: ["profiles"], value: ["login"], line: 2, column: 7, isAppended: true }],
    },
  ]);
});

it("what cannot be a tag, and who is not in --match, is left over", () => {
  const text = "c[1-999] ok=1,a:b\nlogin ok\n";
  const { nodes, leftOver } = planGendersImport(text, {
    profiles: new Set(),
    match: new Set(Array.from({ length: 999 }, (_, at) => `c${at + 1}`)),
  });
  expect(nodes).toHaveLength(999);
  expect(renderConfigFindings("genders", leftOver)).toEqual([
    'genders:1:15: a:b: is not taken: "a:b" is not a tag: letters, digits and ._/- only',
    "genders:2:1: login: is not taken: it is not in --match",
  ]);
});
