import { describe, expect, it } from "vitest";

import { type OverlayItem, planSystemOverlay } from "./plan-system-overlay.ts";

function item(path: string, kind: OverlayItem["kind"]): OverlayItem {
  return { path, mode: 0o644, uid: 0, gid: 0, xattrs: {}, kind };
}

function file(path: string, text = ""): OverlayItem {
  return item(path, { type: "file", content: { bytes: Buffer.from(text) } });
}

function source(path: string, sizeBytes: number): OverlayItem {
  return item(path, { type: "file", content: { sourcePath: `/o${path}`, sizeBytes } });
}

const dir = (path: string): OverlayItem => item(path, { type: "directory" });
const link = (path: string, target: string): OverlayItem => item(path, { type: "symlink", target });
const gone = (path: string): OverlayItem => item(path, { type: "deletion" });

/** One word per step: "+" puts, "-" deletes, "b" puts as blob; the text of small files after "=". */
function steps(...layers: OverlayItem[][]): string[] {
  return planSystemOverlay(layers).map(({ item: { path, kind }, as }) => {
    if (kind.type === "deletion") return `-${path}`;
    if (kind.type === "symlink") return `+${path}->${kind.target}`;
    if (kind.type === "directory") return `+${path}/`;
    const text = "bytes" in kind.content ? kind.content.bytes.toString().slice(0, 5) : "";
    return `${as === "blob" ? "b" : "+"}${path}${text === "" ? "" : `=${text}`}`;
  });
}

describe("planSystemOverlay", () => {
  it.each<[string, OverlayItem[][], string[]]>([
    ["is empty for nothing", [[], []], []],
    [
      "puts parents before children, and a directory's content right after it",
      [[file("/a-b"), file("/a/b/c"), dir("/a"), dir("/a/b"), file("/a/b-c"), file("/Z")]],
      ["+/Z", "+/a/", "+/a/b/", "+/a/b/c", "+/a/b-c", "+/a-b"],
    ],
    ["lets the later layer win", [[file("/x", "1"), file("/y", "1")], [file("/x", "2")]], ["+/x=2", "+/y=1"]],
    [
      "deletes from the image and from earlier layers, with all below",
      [[dir("/d"), file("/d/x"), file("/d2")], [gone("/d")]],
      ["-/d", "+/d2"],
    ],
    [
      "deletes first and puts then, in one layer and over several",
      [[file("/d/old")], [dir("/d"), file("/d/new"), gone("/d")], [file("/d/newer")]],
      ["-/d", "+/d/", "+/d/new", "+/d/newer"],
    ],
    ["puts back what an earlier layer deleted", [[gone("/x")], [file("/x", "2")]], ["-/x", "+/x=2"]],
    ["lets a file take the place of a directory", [[dir("/d"), file("/d/x")], [file("/d", "2")]], ["+/d=2"]],
    [
      "lets a directory take the place of a file or link",
      [
        [file("/d", "1"), link("/l", "t")],
        [dir("/d"), file("/d/x"), file("/l/x")],
      ],
      ["+/d/", "+/d/x", "+/l/x"],
    ],
    ["keeps links as links", [[link("/l", "../x")], [link("/l", "/y")]], ["+/l->/y"]],
    [
      "keeps a path clear that was deleted before a file stood there",
      [[gone("/a")], [file("/a", "1")], [file("/a/b", "2")]],
      ["-/a", "+/a/b=2"],
    ],
  ])("%s", (_title, layers, expected) => {
    expect(steps(...layers)).toEqual(expected);
  });

  it("sends files above 64 KiB as blobs, and others when a megabyte is spent; generated small ones never", () => {
    const many = Array.from({ length: 20 }, (_, n) => source(`/m${String(n).padStart(2, "0")}`, 65_536));
    const planned = steps([
      source("/big", 65_537),
      ...many,
      file("/zz", "secret"),
      file("/hosts", "h".repeat(70_000)),
    ]);
    expect(planned).toEqual([
      "b/big",
      "b/hosts=hhhhh",
      ...many.map(({ path }, n) => `${n < 16 ? "+" : "b"}${path}`),
      "+/zz=secre",
    ]);
  });

  it("merges tens of thousands of paths in a moment", () => {
    const layer = Array.from({ length: 40_000 }, (_, n) => file(`/d${n % 200}/f${n}`));
    const started = performance.now();
    expect(planSystemOverlay([layer, layer, [gone("/d1")]])).toHaveLength(40_000 - 200 + 1);
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
