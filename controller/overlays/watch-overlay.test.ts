import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type BlobStore } from "../images/blob-store.ts";
import { openBlobStore } from "../images/open-blob-store.ts";
import { type OverlaySnapshot, openSnapshotReader } from "./read-overlay-snapshot.ts";
import { type WatchedOverlay, watchOverlay } from "./watch-overlay.ts";

let root: string;
let tree: string;
let blobs: BlobStore;
let overlay: WatchedOverlay | undefined;
let reads: number;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "muster-watch-"));
  tree = join(root, "overlays/base/rootfs");
  mkdirSync(join(tree, "etc"), { recursive: true });
  blobs = await openBlobStore({ directory: join(root, "blobs") });
  reads = 0;
});
afterEach(() => {
  overlay?.[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

async function watchIt(timings = { quietMs: 40, patienceMs: 5000 }, name = "base"): Promise<WatchedOverlay> {
  const onRead = (): void => {
    reads += 1;
  };
  const onBlind = (error: unknown): void => {
    throw error;
  };
  overlay = watchOverlay(name, openSnapshotReader(join(root, "overlays"), name, blobs), timings, {
    onRead,
    onBlind,
  });
  await overlay.opened;
  return overlay;
}

function paths(snapshot: OverlaySnapshot | undefined): readonly string[] {
  return (snapshot?.items ?? []).map(({ path }) => path);
}

async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(
    () => {
      expect(condition()).toBe(true);
    },
    { timeout: 5000, interval: 5 },
  );
}

describe("watchOverlay", () => {
  it("reads at once, then again when a file changes, appears, goes, or lies in a new directory", async () => {
    writeFileSync(join(tree, "etc/motd"), "one\n");
    const watched = await watchIt();
    expect(reads).toBe(1);
    const digestOf = (path: string): unknown =>
      watched.state?.snapshot?.items.find((item) => item.path === path)?.kind;
    const first = digestOf("/etc/motd");
    writeFileSync(join(tree, "etc/motd"), "two\n");
    await until(() => JSON.stringify(digestOf("/etc/motd")) !== JSON.stringify(first));
    mkdirSync(join(tree, "opt/deep"), { recursive: true });
    await until(() => paths(watched.state?.snapshot).includes("/opt/deep"));
    writeFileSync(join(tree, "opt/deep/file"), "x");
    await until(() => paths(watched.state?.snapshot).includes("/opt/deep/file"));
    rmSync(join(tree, "opt"), { recursive: true });
    await until(() => !paths(watched.state?.snapshot).includes("/opt"));
  });

  it("sees a tree that was exchanged for another as a whole", async () => {
    const watched = await watchIt();
    mkdirSync(join(root, "new/rootfs"), { recursive: true });
    renameSync(join(root, "overlays/base"), join(root, "old"));
    renameSync(join(root, "new"), join(root, "overlays/base"));
    await until(() => paths(watched.state?.snapshot).length === 0);
    writeFileSync(join(tree, "seen"), "");
    await until(() => paths(watched.state?.snapshot).includes("/seen"));
  });

  it("does not take up a file while it is being written", async () => {
    const watched = await watchIt({ quietMs: 300, patienceMs: 60_000 });
    const file = join(tree, "etc/slow");
    const seen = new Set<number>();
    for (let part = 0; part < 20; part += 1) {
      appendFileSync(file, "part\n");
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const { kind } of watched.state?.snapshot?.items ?? [])
        if (kind.type === "file") seen.add(kind.sizeBytes);
    }
    await until(() => paths(watched.state?.snapshot).includes("/etc/slow"));
    const [, item] = watched.state?.snapshot?.items ?? [];
    expect([...seen]).toEqual([]);
    expect(item?.kind).toMatchObject({ type: "file", sizeBytes: 100 });
    expect(reads).toBe(2);
  });

  it("reads a tree that is never quiet when its patience ends", async () => {
    const watched = await watchIt({ quietMs: 100, patienceMs: 300 });
    const writing = setInterval(() => {
      appendFileSync(join(tree, "etc/log"), "line\n");
    }, 10);
    try {
      await until(() => paths(watched.state?.snapshot).includes("/etc/log"));
    } finally {
      clearInterval(writing);
    }
  });

  it("keeps the last good reading of a tree that became wrong, says why, and forgets it when it is right again", async () => {
    writeFileSync(join(tree, "etc/motd"), "one\n");
    const watched = await watchIt();
    writeFileSync(join(root, "overlays/base/overlay.yaml"), "onChnge: {}\n");
    await until(() => watched.state?.trouble !== undefined);
    expect(watched.state?.trouble?.message).toBe(
      `overlay base: ${root}/overlays/base/overlay.yaml:1:1: onChnge: is not a key muster knows; did you mean onChange?`,
    );
    expect(paths(watched.state?.snapshot)).toEqual(["/etc", "/etc/motd"]);
    writeFileSync(join(root, "overlays/base/overlay.yaml"), 'onChange: {"/etc/motd": "true"}\n');
    await until(() => watched.state?.trouble === undefined);
    expect(watched.state?.snapshot?.reactions).toEqual([
      { glob: "/etc/motd", command: "true", deadlineSeconds: 60 },
    ]);
  });

  it("sees an overlay that comes into being after it was asked for", async () => {
    const watched = await watchIt(undefined, "later");
    expect(watched.state?.trouble?.message).toBe('there is no overlay "later"');
    mkdirSync(join(root, "overlays/later/rootfs/etc"), { recursive: true });
    await until(() => paths(watched.state?.snapshot).includes("/etc"));
  });

  it("reads nothing after it was disposed of", async () => {
    const watched = await watchIt({ quietMs: 20, patienceMs: 1000 });
    writeFileSync(join(tree, "etc/a"), "");
    watched[Symbol.dispose]();
    writeFileSync(join(tree, "etc/b"), "");
    const other = await watchIt({ quietMs: 20, patienceMs: 1000 });
    writeFileSync(join(tree, "etc/c"), "");
    await until(() => paths(other.state?.snapshot).includes("/etc/c"));
    expect(paths(watched.state?.snapshot)).toEqual(["/etc"]);
  });
});

describe("openSnapshotReader", () => {
  it("holds small contents, stores large ones as blobs, and reads only what changed", async () => {
    writeFileSync(join(tree, "etc/small"), "small\n");
    writeFileSync(join(tree, "etc/large"), Buffer.alloc(70_000, 1));
    const put = vi.spyOn(blobs, "put");
    const reader = openSnapshotReader(join(root, "overlays"), "base", blobs);
    await new Promise((resolve) => setTimeout(resolve, 60)); // older than what one tick of the clock may hide
    const first = await reader.read(() => undefined);
    expect([...first.contents.values()].map((content) => content.in).sort()).toEqual(["blobs", "memory"]);
    const second = await reader.read(() => undefined);
    expect(second).toEqual(first);
    expect(put).toHaveBeenCalledTimes(1);
    writeFileSync(join(tree, "etc/large"), Buffer.alloc(70_000, 2));
    expect(await reader.read(() => undefined)).not.toEqual(first);
    expect(put).toHaveBeenCalledTimes(2);
  });
});
