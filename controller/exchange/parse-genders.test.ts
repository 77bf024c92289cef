import { expect, it } from "vitest";

import { renderConfigFindings } from "../config/config-finding.ts";
import { parseGenders } from "./parse-genders.ts";

it("adds the lines of a node up, and puts its name in place of %n", () => {
  const text = "# head\nc[1-2],login  all,uri=http://%n/%%x%q # comment\n\nc2\track=1\nlogin\n";
  const { nodes, findings } = parseGenders(text);
  expect(findings).toEqual([]);
  expect(
    nodes.map(({ name, line, column, attributes }) => [
      name,
      `${line}:${column}`,
      ...attributes.map((one) => `${one.line}:${one.column} ${one.name}=${one.value ?? "(none)"}`),
    ]),
  ).toEqual([
    ["c1", "2:1", "2:15 all=(none)", "2:19 uri=http://c1/%x%q"],
    ["c2", "2:1", "2:15 all=(none)", "2:19 uri=http://c2/%x%q", "4:4 rack=1"],
    ["login", "2:1", "2:15 all=(none)", "2:19 uri=http://login/%x%q"],
  ]);
});

it("finds everything nodeattr --parse-check refuses, each at its place", () => {
  const text = ["c1 a b", "c1 ,x", "c1 y=", "c[3-1] a", "c1.example a", "c[5-7] p,q", "c[5-6] q"].join("\n");
  expect(renderConfigFindings("genders", parseGenders(text).findings)).toEqual([
    "genders:1:6: b: blanks end the attributes; put commas, and no blanks, between",
    "genders:2:4: an attribute has no name; delete a comma",
    "genders:3:4: y: has no value behind its =; write y or y=VALUE",
    expect.stringMatching(/^genders:4:1: c\[3-1\]: .*backwards/),
    expect.stringMatching(/^genders:5:1: c1\.example: /),
    "genders:7:8: q: c[5-6] has this attribute already from an earlier place; delete one of them",
  ]);
});
