import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseDigest } from "#proto/contract/digest.ts";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { ImageVersion, Inventory, NodeFields, PendingMachine } from "./inventory.ts";
import { openInventory } from "./open-inventory.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");
const LATER = new Date("2026-01-02T04:00:00.000Z");
const ROOT = { user: "root", reason: "set up" };
const MAC1 = parseMacAddress("52:54:00:00:00:01");
const MAC2 = parseMacAddress("52:54:00:00:00:02");
const MAC3 = parseMacAddress("52:54:00:00:00:03");
const C1 = parseNodeName("c1");
const C2 = parseNodeName("c2");
const C10 = parseNodeName("c10");

let directory: string;
let path: string;
let inventory: Inventory;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "muster-inventory-"));
  path = join(directory, "inventory.db");
  inventory = await openInventory({ path, now: () => NOW });
});

afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function fields(...devices: NodeFields["devices"][number][]): NodeFields {
  return { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices };
}

function eno1(mac = MAC1, address = "10.77.0.11"): NodeFields["devices"][number] {
  return { name: "eno1", type: "ethernet", mac, address };
}

function imageContent(image: string, digit: string): Omit<ImageVersion, "version" | "createdAt"> {
  const blob = (n: string) => ({ digest: parseDigest(`sha256:${n.repeat(64)}`), sizeBytes: 7 });
  return {
    image,
    kernelRelease: "6.1.0",
    architecture: "x86_64",
    features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
    kernel: blob("a"),
    modules: blob("b"),
    layers: [blob(digit)],
    source: "/srv/images/debian12",
  };
}

function changes(): unknown[] {
  using reader = disposable(new Sqlite(path, { readonly: true }));
  return reader.value
    .prepare(
      `select change_set, at, author, reason, kind, name, before_json, after_json
       from changes join change_sets on change_sets.id = change_set order by changes.id`,
    )
    .all()
    .map((row) => row);
}

function disposable(db: Sqlite.Database): Disposable & { value: Sqlite.Database } {
  return {
    value: db,
    [Symbol.dispose]: () => {
      db.close();
    },
  };
}

describe("nodes", () => {
  it("come back as they were given, also after a restart, in natural order", async () => {
    const full: NodeFields = {
      rootMode: "tmpfs",
      rootSizeBytes: 8 * 2 ** 30,
      kernelArguments: ["console=ttyS0", "x=a&&b"],
      overlays: ["base", "slurm"],
      runtimeOverlays: ["chrony"],
      tags: { proto: "1", rack: "r1" },
      comment: "line one é",
      devices: [
        {
          ...eno1(),
          netmask: "255.255.255.0",
          gateway: "10.77.0.1",
          mtu: 9000,
        },
        { name: "ib0", type: "infiniband", address: "10.78.0.11" },
      ],
    };
    const [added] = await inventory.addNodes(
      [{ name: C10, fields: full, machine: { serial: "S1", smbiosUuid: "u-1" } }],
      ROOT,
    );
    await inventory.addNodes([{ name: C2, fields: fields(eno1(MAC2, "10.77.0.12")) }], ROOT);
    const expected = {
      ...full,
      name: C10,
      revision: 1,
      machine: { serial: "S1", smbiosUuid: "u-1" },
      createdAt: NOW,
      updatedAt: NOW,
    };
    expect(added).toEqual(expected);
    await inventory[Symbol.asyncDispose]();
    inventory = await openInventory({ path, now: () => NOW });
    expect(await inventory.findNode("c10")).toEqual(expected);
    expect(await inventory.findNodeByMac(MAC1)).toEqual(expected);
    expect((await inventory.listNodes()).map((node) => node.name)).toEqual(["c2", "c10"]);
    expect(await inventory.findNode("c3")).toBeUndefined();
    expect(await inventory.findNodeByMac(MAC3)).toBeUndefined();
  });

  it("are listed as the same array until one changes", async () => {
    await inventory.addNodes([{ name: C1, fields: fields(eno1()) }], ROOT);
    const first = await inventory.listNodes();
    expect(await inventory.listNodes()).toBe(first);
    await inventory.updateNodes([{ name: C1, revision: 1, fields: fields() }], ROOT);
    expect(await inventory.listNodes()).not.toBe(first);
  });

  it("changed by another process are seen", async () => {
    await inventory.addNodes([{ name: C1, fields: fields(eno1()) }], ROOT);
    await inventory.listNodes();
    const other = new Sqlite(path);
    other.prepare(`update nodes set fields_json = '{"comment":"by hand"}'`).run();
    other.close();
    expect((await inventory.findNode("c1"))?.comment).toBe("by hand");
  });

  it("are added all or none, and the error names the owner of a MAC or address in use", async () => {
    await inventory.addNodes([{ name: C1, fields: fields(eno1()) }], ROOT);
    await expect(
      inventory.addNodes(
        [
          { name: C2, fields: fields(eno1(MAC2, "10.77.0.12")) },
          { name: C10, fields: fields({ name: "eth0", type: "ethernet", mac: MAC1 }) },
        ],
        ROOT,
      ),
    ).rejects.toMatchObject({
      code: "mac-in-use",
      message: "c10 device eth0: 52:54:00:00:00:01 already belongs to c1 device eno1",
      fix: "take it from c1 first (`muster node show c1`), or give c10 another one",
    });
    await expect(inventory.addNodes([{ name: C2, fields: fields(eno1(MAC2)) }], ROOT)).rejects.toMatchObject({
      code: "address-in-use",
      message: "c2 device eno1: 10.77.0.11 already belongs to c1 device eno1",
    });
    await expect(
      inventory.addNodes(
        [
          { name: C2, fields: fields(eno1(MAC2, "10.77.0.12")) },
          { name: C10, fields: fields(eno1(MAC2, "10.77.0.13")) },
        ],
        ROOT,
      ),
    ).rejects.toMatchObject({
      code: "mac-in-use",
      message: "c10 device eno1: 52:54:00:00:00:02 already belongs to c2 device eno1",
    });
    await expect(
      inventory.addNodes(
        [
          { name: C2, fields: fields() },
          { name: C1, fields: fields() },
        ],
        ROOT,
      ),
    ).rejects.toMatchObject({ code: "node-exists", message: "in the inventory already: c1" });
    await expect(
      inventory.addNodes(
        [
          { name: C2, fields: fields() },
          { name: C2, fields: fields() },
        ],
        ROOT,
      ),
    ).rejects.toMatchObject({ code: "argument-invalid", message: "named more than once in one change: c2" });
    expect((await inventory.listNodes()).map((node) => node.name)).toEqual(["c1"]);
  });

  it("with bad devices are refused with all that is wrong", async () => {
    await expect(
      inventory.addNodes(
        [
          {
            name: C1,
            fields: fields(
              { name: "../eno1", type: "ethernet", address: "10.077.0.1" },
              { name: "eno2", type: "ethernet", netmask: "255.0.255.0", gateway: "gw", mtu: 12 },
            ),
          },
        ],
        ROOT,
      ),
    ).rejects.toMatchObject({
      code: "request-invalid",
      findings: [
        { at: 'c1: devices."../eno1"', what: '"../eno1" is not the name of a device' },
        {
          at: "c1: devices.eno2.netmask",
          what: '"255.0.255.0" is not a netmask, for example 255.255.255.0',
        },
        { at: "c1: devices.eno2.gateway", what: '"gw" is not the IPv4 address of a host' },
        { at: "c1: devices.eno2.mtu", what: '"12" is not a whole number from 68 to 65520' },
      ],
    });
  });

  it("with two devices of one name are refused: one would be lost", async () => {
    const device = { name: "eno1", type: "ethernet" as const };
    await expect(
      inventory.addNodes([{ name: C1, fields: fields(device, { ...device, mtu: 9000 }) }], ROOT),
    ).rejects.toMatchObject({ code: "request-invalid", message: "c1: devices.eno1: is given twice" });
  });

  it("swap their MACs in one update", async () => {
    await inventory.addNodes(
      [
        { name: C1, fields: fields(eno1(MAC1, "10.77.0.11")) },
        { name: C2, fields: fields(eno1(MAC2, "10.77.0.12")) },
      ],
      ROOT,
    );
    await inventory.updateNodes(
      [
        { name: C1, revision: 1, fields: fields(eno1(MAC2, "10.77.0.11")) },
        { name: C2, revision: 1, fields: fields(eno1(MAC1, "10.77.0.12")) },
      ],
      ROOT,
    );
    expect((await inventory.findNodeByMac(MAC1))?.name).toBe("c2");
    expect((await inventory.findNodeByMac(MAC2))?.name).toBe("c1");
  });

  it("are updated all or none, and only from the revision that was seen", async () => {
    await inventory.addNodes(
      [
        { name: C1, fields: fields(eno1()) },
        { name: C2, fields: fields() },
      ],
      ROOT,
    );
    await inventory.updateNodes(
      [{ name: C1, revision: 1, fields: { ...fields(eno1()), comment: "x" } }],
      ROOT,
    );
    await expect(
      inventory.updateNodes(
        [
          { name: C2, revision: 1, fields: { ...fields(), comment: "y" } },
          { name: C1, revision: 1, fields: fields() },
        ],
        ROOT,
      ),
    ).rejects.toMatchObject({
      code: "revision-stale",
      message: "c1 was changed meanwhile: it has revision 2, the change was made for revision 1",
    });
    await expect(
      inventory.updateNodes([{ name: C10, revision: 1, fields: fields() }], ROOT),
    ).rejects.toMatchObject({ code: "node-unknown", message: "not in the inventory: c10" });
    expect((await inventory.findNode("c2"))?.comment).toBeUndefined();
  });

  it("keep their revision and history when an update changes nothing", async () => {
    await inventory.addNodes([{ name: C1, fields: { ...fields(eno1()), tags: { a: "1", b: "2" } } }], ROOT);
    const [same] = await inventory.updateNodes(
      [{ name: C1, revision: 1, fields: { ...fields(eno1()), tags: { b: "2", a: "1" } } }],
      ROOT,
    );
    expect(same?.revision).toBe(1);
    expect(changes()).toHaveLength(1);
  });

  it("leave every change behind: who, when, why, before and after", async () => {
    await inventory.addNodes([{ name: C1, fields: fields() }], ROOT);
    await inventory.updateNodes([{ name: C1, revision: 1, fields: { ...fields(), comment: "x" } }], {
      user: "token:ci",
    });
    await inventory.recordMachine(C1, { serial: "S1" });
    await inventory.recordMachine(C1, { serial: "S1" });
    await inventory.deleteNodes([C1], { user: "root", reason: "retired" });
    const at = NOW.toISOString();
    const common = { at, kind: "node", name: "c1" };
    const commented = '{"comment":"x"}';
    expect(changes()).toEqual([
      { ...common, change_set: 1, author: "root", reason: "set up", before_json: null, after_json: "{}" },
      {
        ...common,
        change_set: 2,
        author: "token:ci",
        reason: null,
        before_json: "{}",
        after_json: commented,
      },
      {
        ...{ ...common, kind: "machine", change_set: 3, author: "enrolment", reason: null },
        ...{ before_json: null, after_json: '{"serial":"S1"}' },
      },
      {
        ...common,
        change_set: 4,
        author: "root",
        reason: "retired",
        before_json: commented,
        after_json: null,
      },
    ]);
  });

  it("are not all read again when one machine says what it is", async () => {
    await inventory.addNodes(
      [
        { name: C1, fields: fields(eno1()) },
        { name: C2, fields: fields() },
      ],
      ROOT,
    );
    const [, before] = await inventory.listNodes();
    await inventory.recordMachine(C1, { serial: "S1" });
    const [first, second] = await inventory.listNodes();
    expect(first?.machine).toEqual({ serial: "S1" });
    expect(await inventory.findNode(C1)).toBe(first);
    expect(await inventory.findNodeByMac(MAC1)).toBe(first);
    expect(second).toBe(before);
  });

  it("tell listeners of committed changes only, and a listener that throws harms nobody", async () => {
    let calls = 0;
    const warnings: string[] = [];
    const onWarning = (warning: Error): void => {
      warnings.push(warning.message);
    };
    process.on("warning", onWarning);
    inventory.onNodesChanged(() => {
      throw new Error("listener is broken");
    });
    const stop = inventory.onNodesChanged(() => {
      calls += 1;
    });
    await inventory.addNodes([{ name: C1, fields: fields() }], ROOT);
    await inventory.recordMachine(C1, { serial: "S" });
    await inventory.recordMachine(C1, { serial: "S" });
    await inventory.addNodes([{ name: C1, fields: fields() }], ROOT).catch(() => undefined);
    stop();
    await inventory.deleteNodes([C1], ROOT);
    await new Promise(setImmediate);
    process.off("warning", onWarning);
    expect(calls).toBe(2);
    expect(warnings).toEqual(["listener is broken", "listener is broken", "listener is broken"]);
  });

  it("number in the thousands without delay", async () => {
    const nodes = Array.from({ length: 10_000 }, (_, n) => ({
      name: parseNodeName(`c${n}`),
      fields: fields(
        eno1(parseMacAddress(`525400${n.toString(16).padStart(6, "0")}`), `10.77.${n >> 8}.${n & 255}`),
      ),
    })).slice(1);
    const started = performance.now();
    await inventory.addNodes(nodes, ROOT);
    expect(await inventory.listNodes()).toHaveLength(9_999);
    await inventory.deleteNodes(
      nodes.map((node) => node.name),
      ROOT,
    );
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe("images", () => {
  it("count versions from 1 and move stable to the newest; a number is never given twice", async () => {
    const first = await inventory.addImageVersion(imageContent("debian12", "1"), ROOT);
    const second = await inventory.addImageVersion(imageContent("debian12", "2"), ROOT);
    expect(first).toEqual({ ...imageContent("debian12", "1"), version: 1, createdAt: NOW });
    expect(await inventory.findImage("debian12")).toEqual({
      name: "debian12",
      versions: [first, second],
      channels: { stable: 2 },
    });
    expect(await inventory.listImages()).toEqual([await inventory.findImage("debian12")]);
    expect(await inventory.listReferencedBlobs()).toEqual(
      ["a", "b", "1", "2"].map((digit) => `sha256:${digit.repeat(64)}`),
    );
    await inventory.deleteImage("debian12", undefined, ROOT);
    expect(await inventory.findImage("debian12")).toBeUndefined();
    expect((await inventory.addImageVersion(imageContent("debian12", "3"), ROOT)).version).toBe(3);
  });

  it("in use are not deleted, and the error says by whom", async () => {
    await inventory.addImageVersion(imageContent("debian12", "1"), ROOT);
    await inventory.addImageVersion(imageContent("debian12", "2"), ROOT);
    await inventory.setChannel("debian12", "testing", 1, ROOT);
    await inventory.addNodes(
      [C1, C2].map((name) => ({ name, fields: { ...fields(), image: "debian12" } })),
      ROOT,
    );
    await expect(inventory.deleteImage("debian12", 1, ROOT)).rejects.toMatchObject({
      code: "image-in-use",
      message: "version 1 of image debian12 is what channel testing points at",
    });
    await expect(inventory.deleteImage("debian12", undefined, ROOT)).rejects.toMatchObject({
      code: "image-in-use",
      message: "image debian12 is the image of c[1-2]",
    });
    await inventory.setChannel("debian12", "testing", 2, ROOT);
    await inventory.deleteImage("debian12", 1, ROOT);
    expect((await inventory.findImage("debian12"))?.versions.map((v) => v.version)).toEqual([2]);
  });

  it("that are unknown are refused with those there are", async () => {
    await inventory.addImageVersion(imageContent("debian12", "1"), ROOT);
    const unknown = { code: "image-unknown", message: 'there is no image "rocky9"' };
    const fix = "there are: debian12; `muster image import` adds another";
    await expect(
      inventory.addNodes([{ name: C1, fields: { ...fields(), image: "rocky9" } }], ROOT),
    ).rejects.toMatchObject({ code: "image-unknown", message: 'c1: there is no image "rocky9"', fix });
    await expect(inventory.deleteImage("rocky9", undefined, ROOT)).rejects.toMatchObject(unknown);
    await expect(inventory.setChannel("rocky9", "stable", 1, ROOT)).rejects.toMatchObject(unknown);
    await expect(inventory.setChannel("debian12", "stable", 4, ROOT)).rejects.toMatchObject({
      code: "image-unknown",
      message: "image debian12 has no version 4",
      fix: "it has: 1",
    });
  });
});

describe("pending machines", () => {
  const machine: Omit<PendingMachine, "firstSeenAt" | "lastSeenAt"> = {
    claimCode: "K7QM-2XHD",
    machineKey: "u-1/52:54:00:00:00:01",
    bootMac: MAC1,
    macs: [MAC1, MAC2],
    smbiosUuid: "u-1",
    serial: "",
    vendor: "QEMU",
    product: "q35",
    architecture: "x86_64",
    firmware: "efi",
    cpus: 4,
    sockets: 1,
    memoryBytes: 2 ** 31,
    cpuModel: "QEMU Virtual CPU",
    address: "10.77.0.101",
  };

  it("keep their claim code and first arrival when they ask again", async () => {
    await inventory.recordPending(machine, NOW);
    const again = await inventory.recordPending({ ...machine, claimCode: "ZZZZ-ZZZZ", cpus: 8 }, LATER);
    expect(again).toEqual({ ...machine, cpus: 8, firstSeenAt: NOW, lastSeenAt: LATER });
    expect(await inventory.listPending()).toEqual([again]);
  });

  it("become a node in one step", async () => {
    await inventory.recordPending(machine, NOW);
    const node = await inventory.approvePending("K7QM-2XHD", { name: C1, fields: fields(eno1()) }, ROOT);
    expect(node).toMatchObject({
      name: "c1",
      revision: 1,
      machine: { smbiosUuid: "u-1" },
      devices: [eno1()],
    });
    expect(await inventory.listPending()).toEqual([]);
    expect(await inventory.findNodeByMac(MAC1)).toEqual(node);
    await expect(
      inventory.approvePending("K7QM-2XHD", { name: C2, fields: fields() }, ROOT),
    ).rejects.toMatchObject({ code: "machine-not-pending" });
  });

  it("go on waiting when the approval fails", async () => {
    await inventory.recordPending(machine, NOW);
    await inventory.addNodes([{ name: C2, fields: fields(eno1()) }], ROOT);
    await expect(
      inventory.approvePending("K7QM-2XHD", { name: C1, fields: fields(eno1(MAC1, "10.77.0.99")) }, ROOT),
    ).rejects.toMatchObject({ code: "mac-in-use" });
    expect((await inventory.listPending()).map((pending) => pending.claimCode)).toEqual(["K7QM-2XHD"]);
    expect(await inventory.findNode("c1")).toBeUndefined();
  });

  it("give their MAC to a node that was prepared, which keeps its address", async () => {
    await inventory.recordPending(machine, NOW);
    await inventory.addNodes(
      [
        {
          name: C1,
          fields: { ...fields({ name: "eno1", type: "ethernet", address: "10.77.0.11" }), comment: "new" },
        },
      ],
      ROOT,
    );
    const node = await inventory.approvePending(
      "K7QM-2XHD",
      { name: C1, fields: fields({ name: "eth0", type: "ethernet", mac: MAC1 }) },
      ROOT,
    );
    expect(node).toMatchObject({
      revision: 2,
      comment: "new",
      devices: [eno1()],
      machine: { smbiosUuid: "u-1" },
    });
  });

  it("are turned away once", async () => {
    await inventory.recordPending(machine, NOW);
    await inventory.deletePending("K7QM-2XHD");
    await expect(inventory.deletePending("K7QM-2XHD")).rejects.toMatchObject({ code: "machine-not-pending" });
  });
});

describe("enrolment tokens", () => {
  const token = {
    hash: "h1",
    node: C1,
    bootMac: MAC1,
    sourceAddress: "10.77.0.11",
    expiresAt: LATER,
  };

  beforeEach(async () => {
    await inventory.addNodes([{ name: C1, fields: fields(eno1()) }], ROOT);
    await inventory.storeToken(token);
  });

  it("belong to the first key that presents them, and that key may come again", async () => {
    expect(await inventory.findToken("h1")).toEqual(token);
    expect(await inventory.consumeToken("h1", "key-a", NOW)).toEqual(token);
    expect(await inventory.consumeToken("h1", "key-a", NOW)).toEqual(token);
    expect(await inventory.consumeToken("h1", "key-b", NOW)).toBe("used");
    expect(await inventory.consumeToken("h2", "key-a", NOW)).toBe("unknown");
    expect(await inventory.findToken("h2")).toBeUndefined();
  });

  it("are worth nothing from the instant they expire, also to their owner", async () => {
    expect(await inventory.consumeToken("h1", "key-a", LATER)).toBe("expired");
    await inventory.consumeToken("h1", "key-a", NOW);
    expect(await inventory.consumeToken("h1", "key-a", LATER)).toBe("expired");
    expect(await inventory.consumeToken("h1", "key-b", LATER)).toBe("used");
    await inventory.pruneTokens(new Date(LATER.getTime() - 1));
    expect(await inventory.findToken("h1")).toEqual(token);
    await inventory.pruneTokens(LATER);
    expect(await inventory.consumeToken("h1", "key-a", NOW)).toBe("unknown");
  });

  it("replace those the same machine got at the same address and did not use, and no others", async () => {
    const elsewhere = { ...token, hash: "elsewhere", sourceAddress: "10.77.0.66" };
    await inventory.storeToken(elsewhere);
    await inventory.storeToken({ ...token, hash: "h2" });
    expect(await inventory.findToken("h1")).toBeUndefined();
    expect(await inventory.findToken("elsewhere")).toEqual(elsewhere);
    await inventory.consumeToken("h2", "key-a", NOW);
    await inventory.storeToken({ ...token, hash: "h3" });
    expect(await inventory.consumeToken("h2", "key-b", NOW)).toBe("used");
  });

  it("go to exactly one of a hundred keys that race for them", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => inventory.consumeToken("h1", `key-${n}`, NOW)),
    );
    expect(answers.filter((answer) => answer === "used")).toHaveLength(99);
  });

  it("identities and secrets go with their node", async () => {
    const identity = {
      node: C1,
      bootId: "b1",
      keyHash: "k1",
      certificateSerial: "01",
      issuedAt: NOW,
      expiresAt: LATER,
    };
    await inventory.recordIdentity({ ...identity, bootId: "b0" });
    await inventory.recordIdentity(identity);
    expect(await inventory.findIdentity(C1)).toEqual(identity);
    await inventory.findOrCreateSecret(C1, "ssh", async () => Buffer.from("one"));
    await inventory.deleteNodes([C1], ROOT);
    expect(await inventory.findIdentity(C1)).toBeUndefined();
    expect(await inventory.findToken("h1")).toBeUndefined();
    await expect(inventory.storeToken({ ...token, hash: "h3" })).rejects.toMatchObject({
      code: "node-unknown",
    });
    await expect(inventory.recordIdentity(identity)).rejects.toMatchObject({ code: "node-unknown" });
    await inventory.addNodes([{ name: C1, fields: fields() }], ROOT);
    const secret = await inventory.findOrCreateSecret(C1, "ssh", async () => Buffer.from("two"));
    expect(Buffer.from(secret).toString()).toBe("two");
  });
});

describe("secrets", () => {
  beforeEach(async () => {
    await inventory.addNodes([{ name: C1, fields: fields() }], ROOT);
  });

  it("are made once, however many ask at once", async () => {
    let made = 0;
    const ask = () =>
      inventory.findOrCreateSecret(C1, "ssh", async () => {
        made += 1;
        await new Promise(setImmediate);
        return Buffer.from(`secret ${made}`);
      });
    const answers = await Promise.all(Array.from({ length: 50 }, ask));
    answers.push(await ask());
    expect(new Set(answers.map((answer) => Buffer.from(answer).toString()))).toEqual(new Set(["secret 1"]));
  });

  it("whose making fails are tried again by the next who asks", async () => {
    await expect(
      inventory.findOrCreateSecret(C1, "ssh", () => Promise.reject(new Error("no entropy"))),
    ).rejects.toThrow("no entropy");
    const secret = await inventory.findOrCreateSecret(C1, "ssh", async () => Buffer.from([0, 255]));
    expect(Buffer.from(secret)).toEqual(Buffer.from([0, 255]));
  });

  it("are not made for a node that does not exist", async () => {
    let made = 0;
    await expect(
      inventory.findOrCreateSecret(C2, "ssh", async () => {
        made += 1;
        return Buffer.from("x");
      }),
    ).rejects.toMatchObject({ code: "node-unknown" });
    expect(made).toBe(0);
  });
});

describe("API tokens", () => {
  it("are found by hash, note their use once a minute, and have unique names", async () => {
    await inventory.addApiToken("ci", "hash-ci");
    await expect(inventory.addApiToken("ci", "other")).rejects.toMatchObject({ code: "token-exists" });
    expect(await inventory.useApiToken("nope", LATER)).toBeUndefined();
    const used = { name: "ci", createdAt: NOW, lastUsedAt: LATER };
    expect(await inventory.useApiToken("hash-ci", LATER)).toEqual(used);
    expect(await inventory.useApiToken("hash-ci", new Date(LATER.getTime() + 59_000))).toEqual(used);
    expect(await inventory.listApiTokens()).toEqual([used]);
    await inventory.deleteApiToken("ci");
    await expect(inventory.deleteApiToken("ci")).rejects.toMatchObject({ code: "not-found" });
  });
});

describe("the database file", () => {
  it("is readable by its owner only, with all that SQLite puts beside it", async () => {
    await inventory.addNodes([{ name: C1, fields: fields() }], ROOT);
    const modes = ["", "-wal", "-shm"].map((suffix) => statSync(path + suffix).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });

  it("of a newer musterd is refused and left alone", async () => {
    await inventory[Symbol.asyncDispose]();
    const other = new Sqlite(path);
    const known = (other.prepare("select version from schema_version").get() as { version: number }).version;
    other.exec("update schema_version set version = 99");
    other.close();
    await expect(openInventory({ path, now: () => NOW })).rejects.toMatchObject({
      code: "database-newer",
      message: `the inventory ${path} has schema version 99; this musterd knows versions up to ${known}`,
    });
    const again = new Sqlite(path);
    again.exec(`update schema_version set version = ${known}`);
    again.close();
    inventory = await openInventory({ path, now: () => NOW });
    expect(await inventory.listNodes()).toEqual([]);
  });

  it("that is no database is refused with a remedy", async () => {
    const file = join(directory, "text.db");
    writeFileSync(file, "long enough to have a header ".repeat(100));
    await expect(openInventory({ path: file, now: () => NOW })).rejects.toMatchObject({
      code: "database-unusable",
      message: `the inventory ${file} is damaged or is no database`,
      fix: "stop musterd, keep a copy of the file, try `sqlite3 FILE .recover`, or restore the last backup of it",
    });
  });

  it("in a directory that does not exist is refused with a remedy", async () => {
    const file = join(directory, "missing", "x.db");
    await expect(openInventory({ path: file, now: () => NOW })).rejects.toMatchObject({
      code: "database-unusable",
      message: `the inventory ${file} cannot be created: its directory does not exist`,
      fix: "create the directory of paths.state",
    });
  });

  it("with a damaged page is refused", async () => {
    await inventory.addNodes(
      Array.from({ length: 500 }, (_, n) => ({ name: parseNodeName(`n${n}`), fields: fields() })),
      ROOT,
    );
    await inventory[Symbol.asyncDispose]();
    const size = statSync(path).size;
    const db = new Sqlite(path);
    const { rootpage } = db
      .prepare<[], { rootpage: number }>("select rootpage from sqlite_schema where name = 'nodes'")
      .get() ?? { rootpage: 0 };
    db.close();
    const fd = openSync(path, "r+");
    writeSync(fd, Buffer.alloc(4096, 0xee), 0, 4096, (rootpage - 1) * 4096);
    closeSync(fd);
    expect(statSync(path).size).toBe(size);
    await expect(openInventory({ path, now: () => NOW })).rejects.toMatchObject({
      code: "database-unusable",
    });
    rmSync(path);
    inventory = await openInventory({ path, now: () => NOW });
  });

  it("is read on while another process holds its write lock", async () => {
    await inventory.addNodes([{ name: C1, fields: fields(eno1()) }], ROOT);
    const other = new Sqlite(path);
    try {
      other.exec("begin immediate");
      expect([
        (await inventory.findNode("c1"))?.name,
        await inventory.listImages(),
        await inventory.findIdentity(C1),
        await inventory.listPending(),
      ]).toEqual(["c1", [], undefined, []]);
    } finally {
      other.exec("rollback");
      other.close();
    }
  });

  it("is not followed through a symbolic link", async () => {
    const link = join(directory, "link.db");
    symlinkSync(join(directory, "elsewhere"), link);
    await expect(openInventory({ path: link, now: () => NOW })).rejects.toMatchObject({
      code: "database-unusable",
      message: `the inventory ${link} is not a regular file`,
    });
    expect(existsSync(join(directory, "elsewhere"))).toBe(false);
  });
});
