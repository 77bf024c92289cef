import { expect, test } from "vitest";

import { DriftPolicy, type ManifestEntry } from "#proto/gen/muster/v1/overlay.ts";
import { parseAttributeDump, renderAttributeDump } from "./extended-attributes.ts";
import { ancestorsOf, parseManifest } from "./parse-manifest.ts";
import { mountOf, parseMountInfo } from "./parse-mount-info.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

function entry(path: string, kind: ManifestEntry["kind"], more: Partial<ManifestEntry> = {}): ManifestEntry {
  return { path, mode: 0o644, uid: 0, gid: 0, xattrs: {}, kind, ...more };
}
const file: ManifestEntry["kind"] = { $case: "file", value: { digest: DIGEST, sizeBytes: 3 } };
const directory: ManifestEntry["kind"] = { $case: "directory", value: true };
const deletion: ManifestEntry["kind"] = { $case: "deletion", value: true };
const link = (value: string): ManifestEntry["kind"] => ({ $case: "symlinkTarget", value });

const parse = (...entries: ManifestEntry[]): ReturnType<typeof parseManifest> =>
  parseManifest({ entries, reactions: [], driftPolicy: DriftPolicy.UNSPECIFIED });

test("a deletion before something else at its path becomes a clearing", () => {
  const { paths, policy } = parse(
    entry("/a", deletion),
    entry("/a", directory, { mode: 0o700 }),
    entry("/a/f", file, { xattrs: { "user.x": Buffer.from("y") } }),
    entry("/gone", deletion),
  );
  expect(policy).toBe("repair");
  expect(
    paths.map(({ path, what, clears, attributes }) => [path, what.kind, clears, attributes.xattrs]),
  ).toEqual([
    ["/a", "directory", true, {}],
    ["/a/f", "file", false, { "user.x": "79" }],
    ["/gone", "absent", true, {}],
  ]);
});

test("every bad entry is named", () => {
  const bad = [
    entry("etc/x", file),
    entry("/", directory),
    entry("/a/../b", file),
    entry("/a//b", file),
    entry(`/${"n".repeat(256)}`, file),
    entry("/mode", file, { mode: 0o10000 }),
    entry("/attr", file, { xattrs: { "evil name": Buffer.from("") } }),
    entry("/none", undefined),
    entry("/link", link("")),
    entry("/digest", { $case: "file", value: { digest: "../../etc", sizeBytes: 1 } }),
  ];
  expect(() => parse(...bad)).toThrow(
    [
      '"etc/x" is not an absolute path',
      '"/" is the root directory',
      "\"/a/../b\" has an empty, '.' or '..' component",
      "\"/a//b\" has an empty, '.' or '..' component",
      `"/${"n".repeat(256)}" is too long`,
      '"/mode" has the mode 010000',
      '"/attr" has the extended attribute "evil name"',
      '"/none" says neither file, link, directory nor deletion',
      '"/link" is a link to nowhere',
      '"/digest" has no digest',
    ].join("; "),
  );
  expect(() => parse(entry("/a", link("b")), entry("/a/f", file))).toThrow(
    '"/a/f" is below /a, which is no directory in this overlay',
  );
});

test("ancestors come from below", () => {
  expect(ancestorsOf("/a/b/c")).toEqual(["/a/b", "/a"]);
  expect(ancestorsOf("/a")).toEqual([]);
});

test("mounts are told apart by their longest point, the last of two at one point on top", () => {
  const mounts = parseMountInfo(
    [
      "22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/x",
      "30 22 0:30 / /srv rw shared:2 master:1 - nfs4 head:/srv ro,vers=4.2",
      "31 22 0:31 / /srv/with\\040blank ro - tmpfs tmpfs rw",
      "32 30 0:32 / /srv rw - tmpfs tmpfs rw",
      "",
    ].join("\n"),
  );
  expect(mountOf(mounts, "/etc/x")).toEqual({ point: "/", isReadOnly: false, type: "overlay" });
  expect(mounts[1]).toEqual({ point: "/srv", isReadOnly: true, type: "nfs4" });
  expect(mountOf(mounts, "/srv/x")).toEqual({ point: "/srv", isReadOnly: false, type: "tmpfs" });
  expect(mountOf(mounts, "/srv/with blank")).toEqual({
    point: "/srv/with blank",
    isReadOnly: true,
    type: "tmpfs",
  });
  expect(mountOf(mounts, "/srvx")).toEqual({ point: "/", isReadOnly: false, type: "overlay" });
});

test("a dump of attributes reads back as it was written", () => {
  const xattrs = new Map([
    ["/a b=c\\d\ne", { "user.x": "00ff", "security.capability": "" }],
    ["/ä", { "user.y": "79" }],
  ]);
  expect(renderAttributeDump(xattrs)).toBe(
    "# file: /a b\\075c\\134d\\012e\nuser.x=0x00ff\nsecurity.capability=0x\n\n# file: /ä\nuser.y=0x79\n\n",
  );
  expect(parseAttributeDump(renderAttributeDump(xattrs))).toEqual(xattrs);
});
