import { writeFileSync } from "node:fs";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import type { NodeDisk } from "./node-disk.ts";
import { makeOverlayNode, type OverlayNode, overlayOf, type Wanted } from "./testing/overlay-node.ts";

const IMAGE: Wanted = {
  "/etc/motd": { file: "image", mode: 0o640, uid: 2 },
  "/etc/hosts": "image hosts",
  "/etc/localtime": { linkTo: "/usr/share/zoneinfo/UTC" },
  "/etc/stale": "image stale",
  "/etc/repos/a": "image a",
  "/etc/repos/sub/b": "image b",
  "/usr/lib/keep": "k",
  "/lib": { linkTo: "usr/lib" },
};
const OLD: Wanted = {
  "/etc/motd": "old motd",
  "/etc/hosts": "old hosts",
  "/etc/ours": "old ours",
  "/etc/tofile/x": "old x",
  "/etc/link": { linkTo: "one" },
  "/lib/rule": { file: "old rule", xattrs: { "trusted.a": "b" } },
};
const NEW: Wanted = {
  "/etc/motd": { file: "new motd", mode: 0o600, uid: 7 },
  "/etc/stale": { gone: true },
  "/etc/ours": { linkTo: "ours now a link" },
  "/etc/tofile": "new file",
  "/etc/link": { linkTo: "two" },
  "/etc/repos": { directory: true, clears: true, mode: 0o700 },
  "/etc/repos/site": "new site",
  "/opt/deep/er/file": "new deep",
  "/etc/localtime": "new localtime",
  "/lib/rule": { file: "old rule", mode: 0o755, xattrs: { "trusted.a": "c" } },
};

/** An agent that ends at its nth effect, in the middle of it where an effect has a middle. */
function endingAt(last: number, disk: NodeDisk): NodeDisk {
  let count = 0;
  const looks = ["lstat", "readlink", "readdir", "readFile", "digestOf", "availableBytes", "readXattrs"];
  return new Proxy(disk, {
    get: (target, name: keyof NodeDisk) => {
      const effect = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        if (count > last) throw new Error("ended");
        if (!looks.includes(name) && count++ === last) {
          count++;
          if (name === "writeFile") {
            const [path, content] = args as [string, Uint8Array];
            writeFileSync(path, content.subarray(0, content.length / 2), { flag: "wx" });
          }
          if (name === "copyFile") writeFileSync(args[1] as string, "", { flag: "wx" });
          throw new Error("ended");
        }
        return effect(...args);
      };
    },
  });
}

async function bareNode(directory: string): Promise<OverlayNode> {
  const node = await makeOverlayNode(directory);
  await node.lay(IMAGE);
  return node;
}

/** In memory, as the root of most nodes is: thousands of fsync(2) on a disk take minutes. */
async function memory(): Promise<string> {
  return access("/dev/shm").then(
    () => "/dev/shm",
    () => tmpdir(),
  );
}

interface Trees {
  readonly before: Record<string, string>;
  readonly after: Record<string, string>;
}

/** Paths that are neither what they were nor what they will be, nor on the way from one to the other and not there. */
function neither(tree: Record<string, string>, { before, after }: Trees): string[] {
  return Object.keys({ ...tree, ...before, ...after }).filter((path) => {
    const now = tree[path];
    if (now === before[path] || now === after[path]) return false;
    // A file cannot take the place of a directory in one step: for a moment there is nothing.
    const typeOf = (text: string | undefined): string | undefined => text?.split(" ")[0];
    const isReplaced = typeOf(before[path]) !== typeOf(after[path]) || typeOf(now) === undefined;
    return !(now === undefined && isReplaced);
  });
}

/** A process for each time attributes are set makes the difference between seconds and minutes: once is enough. */
function withoutXattrs(wanted: Wanted): Wanted {
  const strip = (value: Wanted[string]): Wanted[string] =>
    typeof value === "string" ? value : { ...value, xattrs: {} };
  return Object.fromEntries(Object.entries(wanted).map(([path, value]) => [path, strip(value)]));
}

for (const [title, from, to] of [
  ["to a new version", OLD, NEW],
  ["back to the old version", withoutXattrs(NEW), withoutXattrs(OLD)],
  ["away altogether", withoutXattrs(NEW), {}],
] as const) {
  test(`an agent that is ended at any step of the way ${title} leaves old or new, and the next one ends it`, async () => {
    const directory = await mkdtemp(join(await memory(), "muster-interrupted-"));
    try {
      const makeNode = async (): Promise<OverlayNode> => {
        const node = await bareNode(directory);
        await node.apply(overlayOf(from));
        return node;
      };
      await using reference = await makeNode();
      const before = await reference.tree();
      await reference.apply(overlayOf(to));
      const after = await reference.tree();
      let steps = 0;
      let outcomes = { old: 0, new: 0 };
      for (let last = 0, ended = false; !ended; last++, steps++) {
        await using node = await makeNode();
        const parts = node.withDisk((disk) => endingAt(last, disk));
        ended = await node.apply(overlayOf(to), parts).then(
          () => true,
          () => false,
        );
        const during = await node.tree();
        expect(neither(during, { before, after }), `ended at ${last}`).toEqual([]);
        // The next agent has no controller, and is itself ended on its way.
        await node.look(node.withDisk((disk) => endingAt(last % 7, disk))).catch(() => undefined);
        expect(neither(await node.tree(), { before, after }), `ended at ${last}, then again`).toEqual([]);
        await node.look();
        const recovered = await node.tree();
        const isOld = JSON.stringify(recovered) === JSON.stringify(before);
        if (!isOld) expect(recovered, `ended at ${last}`).toEqual(after);
        outcomes = isOld ? { ...outcomes, old: outcomes.old + 1 } : { ...outcomes, new: outcomes.new + 1 };
        await node.apply(overlayOf(to));
        expect(await node.tree(), `ended at ${last}, applied anew`).toEqual(after);
        await node.apply(overlayOf({}));
        const bare = await node.tree();
        await using image = await makeOverlayNode(directory);
        await image.lay(IMAGE);
        expect(bare, `ended at ${last}, taken back`).toEqual(await image.tree());
      }
      expect(steps).toBeGreaterThan(40);
      expect(Math.min(outcomes.old, outcomes.new)).toBeGreaterThan(5);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }, 300_000);
}
