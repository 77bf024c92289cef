import { describe, expect, it } from "vitest";

import type { InventoryRecord, InventoryState, RecordChange, RecordKind } from "../../inventory/changes.ts";
import { planPreview, type Preview } from "./plan-preview.ts";
import { renderPreview } from "./render-preview.ts";

const record = (kind: RecordKind, name: string, fields: object): InventoryRecord => ({
  kind,
  name,
  revision: 1,
  fields,
});
const change = (
  kind: RecordKind,
  name: string,
  fields: object | undefined,
  renameTo?: string,
): RecordChange => ({
  kind,
  name,
  revision: 1,
  fields,
  ...(renameTo === undefined ? {} : { renameTo }),
});
const stateOf = (profiles: Record<string, object>, nodes: Record<string, object>): InventoryState => ({
  profiles: Object.entries(profiles).map(([name, fields]) => record("profile", name, fields)),
  nodes: Object.entries(nodes).map(([name, fields]) => record("node", name, fields)),
});

const SITE = stateOf(
  { base: { image: "debian12" }, gpu: { profiles: ["base"], kernelArguments: ["a"] }, other: {} },
  {
    c1: { profiles: ["gpu"] },
    c2: { profiles: ["gpu"], image: "rocky9" },
    c3: { profiles: ["other"] },
    c4: {},
  },
);
const groupsOf = ({ nodes }: Preview): unknown =>
  nodes.map(({ action, names, differences }) => [
    action,
    names.join(),
    ...differences.map(({ path, before, after, effect }) => [path, before, after, effect]),
  ]);

describe("a preview", () => {
  it("shows a changed profile at the nodes where it makes a difference, through other profiles too", () => {
    const preview = planPreview(SITE, [change("profile", "base", { image: "debian13", tags: { a: "1" } })]);
    expect(groupsOf(preview)).toEqual([
      ["changed", "c1", ["image", "debian12", "debian13", "reboot"], ["tags.a", undefined, "1", "none"]],
      ["changed", "c2", ["tags.a", undefined, "1", "none"]],
    ]);
    expect(preview.profiles).toMatchObject([{ names: ["base"], reaches: ["c1", "c2"] }]);
    expect(preview.effects).toEqual({ reboot: ["c1"], refresh: [], none: ["c2"] });
  });

  it("tells of a profile nobody takes, and of nodes that only say the same otherwise", () => {
    const preview = planPreview(SITE, [
      change("profile", "new", { image: "debian12" }),
      change("node", "c1", { profiles: ["gpu"], image: "debian12" }),
    ]);
    expect(preview.profiles).toMatchObject([{ action: "added", names: ["new"], reaches: [] }]);
    expect(preview.nodes).toEqual([]);
    expect(preview.unchanged).toEqual(["c1"]);
    expect(renderPreview(preview)).toBe(
      "profile new: added\n  image  debian12\n  no node takes it\nc1: written otherwise, in effect the same\n",
    );
  });

  it("follows a renamed profile through the lists that name it", () => {
    const preview = planPreview(SITE, [change("profile", "gpu", { kernelArguments: ["a"] }, "gpus")]);
    expect(groupsOf(preview)).toEqual([
      ["changed", "c1", ["profiles", ["gpu"], ["gpus"], "none"], ["image", "debian12", undefined, "reboot"]],
      ["changed", "c2", ["profiles", ["gpu"], ["gpus"], "none"]],
    ]);
    expect(preview.profiles).toMatchObject([{ action: "renamed", renamedTo: "gpus", reaches: ["c1", "c2"] }]);
  });

  it("leaves what cannot be committed to the controller: profiles that do not exist, cycles, profiles in use", () => {
    expect(groupsOf(planPreview(SITE, [change("node", "c4", { profiles: ["missing"] })]))).toEqual([
      ["changed", "c4", ["profiles", undefined, ["missing"], "none"]],
    ]);
    expect(groupsOf(planPreview(SITE, [change("profile", "gpu", undefined)]))).toEqual([
      [
        "changed",
        "c1",
        ["image", "debian12", undefined, "reboot"],
        ["kernelArguments", ["a"], undefined, "reboot"],
      ],
      ["changed", "c2", ["kernelArguments", ["a"], undefined, "reboot"]],
    ]);
    expect(groupsOf(planPreview(SITE, [change("profile", "base", { profiles: ["gpu"] })]))).toEqual([
      ["changed", "c1", ["image", "debian12", undefined, "reboot"]],
    ]);
  });

  it("tells what DHCP, a refresh and a reboot have to do with it", () => {
    const site = stateOf({}, { c1: { devices: { eno1: { mac: "52:54:00:00:00:01" } } }, c2: {}, c3: {} });
    const preview = planPreview(site, [
      change("node", "c1", undefined),
      change("node", "c2", { runtimeOverlays: ["login"] }),
      change("node", "c3", {}, "c33"),
      change("node", "c5", { devices: { eno1: { mac: "52:54:00:00:00:05" } } }),
    ]);
    expect(preview).toMatchObject({
      effects: { reboot: ["c33"], refresh: ["c2"], none: [] },
      dhcp: ["c1", "c5", "c33"],
      runtimeOverlays: ["login"],
    });
    const reactions = new Map([
      ["login", ["systemctl reload ssh", "true"]],
      ["other", ["false"]],
    ]);
    expect(renderPreview(preview, reactions)).toBe(`c1: deleted
c2: runtimeOverlays (none) -> [login]   (refresh)
c3: renamed to c33
c5: added
  devices.eno1.mac  52:54:00:00:00:05

at once: DHCP answers otherwise for c[1,5,33]
at once: the runtime overlay of c2 is refreshed where they are up
  which may run what onChange of login says: systemctl reload ssh; true
at the next boot: c33; where they are up: muster reboot c33
`);
    expect(renderPreview(preview, reactions, "planned")).toMatch(
      /^c1: would be deleted\nc2: runtimeOverlays .*\nc3: would be renamed to c33\nc5: would be added\n/,
    );
  });

  it("never has a secret in it", () => {
    const site = stateOf({}, { c1: { bmc: { password: "first" } }, c2: {} });
    const preview = planPreview(site, [
      change("node", "c1", { bmc: { password: "second" } }),
      change("node", "c2", { bmc: { password: "third" } }),
    ]);
    expect(JSON.stringify(preview)).not.toMatch(/first|second|third/);
    expect(renderPreview(preview)).toContain(
      "c1: bmc.password (secret) -> (another secret)\nc2: bmc.password (none) -> (secret)\n",
    );
  });

  it("folds many nodes that change in the same fields, each to a value of its own", () => {
    const nodes = Array.from({ length: 64 }, (_, at) => `c${String(at + 1).padStart(3, "0")}`);
    const changes = nodes.map((name, at) =>
      change("node", name, { devices: { eno1: { address: `10.77.0.${at + 1}`, mtu: 9000 } } }),
    );
    expect(
      renderPreview(planPreview(stateOf({}, {}), changes)),
    ).toBe(`c[001-064]: added (one field has values by node, -o json shows all)
  devices.eno1.address  10.77.0.1, ... (64 different)
  devices.eno1.mtu      9000

at once: DHCP answers otherwise for c[001-064]
`);
    expect(planPreview(stateOf({}, {}), changes).nodes).toHaveLength(64);
  });

  it("escapes what a terminal would obey", () => {
    expect(
      renderPreview(
        planPreview(stateOf({}, { c1: {} }), [change("node", "c1", { comment: "a\u001b[31m\n" })]),
      ),
    ).toBe('c1: comment (none) -> "a\\u001b[31m\\n"\n');
  });

  it("of 10,000 nodes that a profile reaches takes no time that anybody waits for", () => {
    const nodes = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, at) => [
        `c${at}`,
        { profiles: ["gpu"], devices: { eno1: { address: `10.${at >> 8}.${at & 255}.1`, mtu: 9000 } } },
      ]),
    );
    const site = stateOf({ gpu: { image: "a" } }, nodes);
    const started = performance.now();
    const preview = planPreview(site, [change("profile", "gpu", { image: "b" })]);
    expect(preview.nodes).toHaveLength(1);
    expect(performance.now() - started).toBeLessThan(30_000);
  });
});
