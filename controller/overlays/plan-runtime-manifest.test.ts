import { describe, expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { DriftPolicy, RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";
import { assignOverlays } from "./assign-overlays.ts";
import { type OverlayLayer, planRuntimeManifest, type RuntimeItem } from "./plan-runtime-manifest.ts";

const [A, B] = [digestOfHex("aa".repeat(32)), digestOfHex("bb".repeat(32))];

function item(path: string, kind: RuntimeItem["kind"], xattrs: RuntimeItem["xattrs"] = {}): RuntimeItem {
  return { path, mode: 0o644, uid: 1, gid: 2, xattrs, kind };
}

function file(path: string, digest = A, xattrs: RuntimeItem["xattrs"] = {}): RuntimeItem {
  return item(path, { type: "file", digest, sizeBytes: 7 }, xattrs);
}

function layer(items: readonly RuntimeItem[], reactions: OverlayLayer["reactions"] = []): OverlayLayer {
  return { items, reactions };
}

describe("planRuntimeManifest", () => {
  it("has everything of an entry, the later layer's where two have a path, in the order to apply", () => {
    const lower = layer([
      item("/etc", { type: "directory" }),
      file("/etc/a", A),
      file("/etc/b", A),
      item("/etc/link", { type: "symlink", target: "a" }),
    ]);
    const upper = layer([
      file("/etc/a", B, { "user.x": Buffer.from("1") }),
      item("/etc/b", { type: "deletion" }),
    ]);
    const entry = { mode: 0o644, uid: 1, gid: 2, xattrs: {} };
    const sizeBytes = 7;
    expect(planRuntimeManifest([lower, upper], "repair")).toEqual({
      entries: [
        { ...entry, path: "/etc", kind: { $case: "directory", value: true } },
        {
          ...entry,
          path: "/etc/a",
          xattrs: { "user.x": Buffer.from("1") },
          kind: { $case: "file", value: { digest: B, sizeBytes } },
        },
        { path: "/etc/b", mode: 0, uid: 0, gid: 0, xattrs: {}, kind: { $case: "deletion", value: true } },
        { ...entry, path: "/etc/link", kind: { $case: "symlinkTarget", value: "a" } },
      ],
      reactions: [],
      driftPolicy: DriftPolicy.REPAIR,
    });
  });

  it("deletes before it puts something else there", () => {
    const planned = planRuntimeManifest([layer([item("/a", { type: "deletion" }), file("/a")])], "report");
    expect(planned.entries.map(({ path, kind }) => [path, kind?.$case])).toEqual([
      ["/a", "deletion"],
      ["/a", "file"],
    ]);
    expect(planned.driftPolicy).toBe(DriftPolicy.REPORT);
  });

  it("runs a command once however many patterns and overlays name it, with the longest deadline", () => {
    const reactions = (globs: readonly [string, string, number][]): OverlayLayer =>
      layer(
        [],
        globs.map(([glob, command, deadlineSeconds]) => ({ glob, command, deadlineSeconds })),
      );
    const planned = planRuntimeManifest(
      [
        reactions([
          ["/a", "restart a", 5],
          ["/b", "restart b", 60],
        ]),
        reactions([
          ["/c", "restart a", 9],
          ["/a", "restart a", 1],
        ]),
      ],
      "repair",
    );
    expect(planned.reactions).toEqual([
      { globs: ["/a", "/c"], command: "restart a", deadlineSeconds: 9 },
      { globs: ["/b"], command: "restart b", deadlineSeconds: 60 },
    ]);
  });

  it("is the same bytes whatever the order in which the tree and its attributes were read", () => {
    const [x, y] = [Buffer.from("x"), Buffer.from("y")];
    const encode = (items: readonly RuntimeItem[]): Buffer =>
      Buffer.from(RuntimeManifest.encode(planRuntimeManifest([layer(items)], "repair")).finish());
    const one = encode([file("/a", A, { "user.a": x, "user.b": y }), file("/b")]);
    expect(encode([file("/b"), file("/a", A, { "user.b": y, "user.a": x })])).toEqual(one);
    expect(encode([file("/b"), file("/a", B, { "user.b": y, "user.a": x })])).not.toEqual(one);
  });
});

describe("assignOverlays", () => {
  it("gives every node the site's overlays and then its own, with one list for all that have the same", () => {
    const [c1, c2, c3] = ["c1", "c2", "c3"].map(parseNodeName) as [never, never, never];
    const assigned = assignOverlays(
      ["base", "site"],
      [
        { name: c1, runtimeOverlays: [] },
        { name: c2, runtimeOverlays: ["gpu", "base"] },
        { name: c3, runtimeOverlays: [] },
      ],
    );
    expect([...assigned.of]).toEqual([
      [c1, ["base", "site"]],
      [c2, ["site", "gpu", "base"]],
      [c3, ["base", "site"]],
    ]);
    expect(assigned.of.get(c1)).toBe(assigned.of.get(c3));
    expect([...assigned.names].sort()).toEqual(["base", "gpu", "site"]);
    expect(assigned.keys.size).toBe(2);
  });
});
