import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";

import { planSiteConfig, type SiteConfigPlan } from "./plan-site-config.ts";

const FIXTURES = new URL("../../../test/fixtures/warewulf/", import.meta.url);

function told({ musterYaml, items, findings }: SiteConfigPlan): string {
  return [
    musterYaml,
    ...findings.map(({ line, column, what }) => `${line}:${column} refused: ${what}`),
    ...items.map(
      ({ line, column, outcome, key, value = "", why, fix = "" }) =>
        `${line}:${column} ${outcome}: ${key} (${value}): ${why}; ${fix}`,
    ),
    "",
  ].join("\n");
}

describe.each(["4.2", "4.6"])("warewulf.conf of %s", (version) => {
  test("becomes this muster.yaml, and everything else in it is listed", async () => {
    const text = await readFile(new URL(`warewulf-${version}.conf`, FIXTURES), "utf8");
    const golden = new URL(`warewulf-${version}.imported.txt`, FIXTURES).pathname;
    await expect(told(planSiteConfig(text))).toMatchFileSnapshot(golden);
  });
});

test.each([
  ["ipaddr: 10.1.2.3/20", { address: "10.1.2.3", subnet: "10.1.0.0/20" }],
  ["ipaddr: 10.1.2.3\nnetmask: 255.255.255.0", { address: "10.1.2.3", subnet: "10.1.2.0/24" }],
  [
    "ipaddr: 10.1.2.3\nnetmask: 255.255.0.0\nnetwork: 10.1.0.0",
    { address: "10.1.2.3", subnet: "10.1.0.0/16" },
  ],
])("the boot network of %s", (text, { address, subnet }) => {
  const { musterYaml } = planSiteConfig(text);
  expect(musterYaml).toContain(`controller:\n  address: ${address}\n`);
  expect(musterYaml).toContain(`network:\n  subnet: ${subnet}\n`);
});

test("what Warewulf finds out by itself at each start is asked for", () => {
  const { items } = planSiteConfig("warewulf: {}\n");
  expect(items.map(({ key }) => key)).toEqual([
    "muster.yaml: controller.address",
    "muster.yaml: network.subnet",
  ]);
});

test("a file that cannot be read is told with its place", () => {
  expect(planSiteConfig("ipaddr: [").findings.map(({ line }) => line)).toEqual([1]);
});

test.each(["colour", "constructor", "__proto__"])(
  "keys that Warewulf never had are listed too: %s",
  (key) => {
    const { items } = planSiteConfig(`ipaddr: 10.1.2.3/24\n${key}: red\n`);
    expect(items).toEqual([
      {
        line: 2,
        column: key.length + 3,
        kind: "file",
        name: "",
        key,
        value: "red",
        outcome: "left",
        why: "it is not a key of Warewulf",
      },
    ]);
  },
);
