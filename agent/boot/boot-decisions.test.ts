import { expect, test } from "vitest";

import { type BootPlan, RootMode } from "#proto/gen/muster/v1/provisioning.ts";

import { hostPathsAt } from "../host-paths.ts";
import { openConsole } from "./console.ts";
import { parseAddress } from "./parse-address.ts";
import { parseBlobChunk } from "./parse-blob-chunk.ts";
import { parseDmiText, parseDmiUuid } from "./parse-dmi-text.ts";
import { planClock } from "./plan-clock.ts";
import { planBlobStoreMount, planMounts } from "./plan-mounts.ts";
import { tailOfLines } from "./read-kernel-log.ts";
import { openStageClock } from "./stage-clock.ts";
import { validateMemory } from "./validate-memory.ts";

const MIB = 1024 * 1024;
const paths = hostPathsAt("/");
const plan: BootPlan = {
  nodeName: "c001",
  imageName: "debian12",
  imageVersion: 3,
  kernelDigest: "",
  layers: [
    { digest: "sha256:a", sizeBytes: 60 * MIB, ticket: Buffer.alloc(0) },
    { digest: "sha256:b", sizeBytes: 40 * MIB, ticket: Buffer.alloc(0) },
  ],
  rootMode: RootMode.SQUASHFS,
  rootSizeBytes: 0,
  overlay: [],
  init: "/sbin/init",
  blobAddresses: [],
  retry: undefined,
};

test("a clock behind the controller's or a day ahead is set, one a little ahead is left alone", () => {
  expect([planClock(0, 1000), planClock(999, 1000), planClock(1000, 1000)]).toEqual([1000, 1000, undefined]);
  expect([planClock(87_400, 1000), planClock(87_401, 1000), planClock(5, undefined)]).toEqual([
    undefined,
    1000,
    undefined,
  ]);
});

test("squashfs layers lie under the agent's own, the highest first", () => {
  expect(planMounts(paths, plan, ["/b/0", "/b/1"])).toEqual([
    { kind: "squashfs", file: "/b/0", target: "/run/muster/layers/0" },
    { kind: "squashfs", file: "/b/1", target: "/run/muster/layers/1" },
    { kind: "tmpfs", target: "/run/muster/rw", size: "50%", mode: "0755" },
    { kind: "directory", path: "/run/muster/rw/upper", mode: 0o755 },
    { kind: "directory", path: "/run/muster/rw/work", mode: 0o755 },
    {
      kind: "overlay",
      target: "/newroot",
      lower: ["/run/muster/agent", "/run/muster/layers/1", "/run/muster/layers/0"],
      upper: "/run/muster/rw/upper",
      work: "/run/muster/rw/work",
    },
    { kind: "restore-acls", file: "/newroot/usr/lib/muster/image.acl", target: "/newroot" },
  ]);
});

test("an unpacked root drops each packed layer when its content is out", () => {
  const unpacked = { ...plan, rootMode: RootMode.TMPFS, rootSizeBytes: 500 * MIB };
  expect(planMounts(paths, unpacked, ["/b/0", "/b/1"])).toEqual([
    { kind: "tmpfs", target: "/newroot", size: "524288000", mode: "0755" },
    { kind: "unpack", file: "/b/0", target: "/newroot" },
    { kind: "remove", path: "/b/0" },
    { kind: "unpack", file: "/b/1", target: "/newroot" },
    { kind: "remove", path: "/b/1" },
    { kind: "copy-tree", from: "/run/muster/agent", target: "/newroot" },
    { kind: "directory", path: "/newroot", mode: 0o755 },
    { kind: "restore-acls", file: "/newroot/usr/lib/muster/image.acl", target: "/newroot" },
  ]);
});

test("the store for blobs is limited to what they need", () => {
  expect(planBlobStoreMount(paths, 100 * MIB + 1)).toEqual({
    kind: "tmpfs",
    target: "/run/muster/blobs",
    size: "105m",
    mode: "0700",
  });
});

test("an image that does not fit is refused with the numbers, before it is fetched", () => {
  expect(() => {
    validateMemory(plan, 228 * MIB);
  }).not.toThrow();
  expect(() => {
    validateMemory(plan, 228 * MIB - 1);
  }).toThrow(
    "image debian12 version 3 needs about 228 MiB of memory to boot (100 MiB packed, 128 MiB to run), 228 MiB are available",
  );
  expect(() => {
    validateMemory({ ...plan, rootMode: RootMode.TMPFS }, 300 * MIB);
  }).toThrow(/about 528 MiB .* about 300 MiB unpacked/);
});

test("the data of a blob message is a view, unknown fields are skipped, broken messages are refused", () => {
  const message = Buffer.from([0x10, 0x96, 0x01, 0x0a, 0x03, 1, 2, 3, 0x1a, 0x01, 9]);
  const data = parseBlobChunk(message);
  expect([...data]).toEqual([1, 2, 3]);
  expect(data.buffer).toBe(message.buffer);
  expect([...parseBlobChunk(Buffer.alloc(0))]).toEqual([]);
  for (const broken of [[0x0a, 0x05, 1], [0x0a], [0x0b], [0x0a, 0xff]]) {
    expect(() => parseBlobChunk(Buffer.from(broken))).toThrow(/blob message/);
  }
});

test("what boards say for want of a serial number is no serial number", () => {
  for (const text of [
    "To be filled by O.E.M.",
    "Not Specified",
    "0000000",
    "Default string",
    "",
    undefined,
  ]) {
    expect(parseDmiText(text)).toBe("");
  }
  expect(parseDmiText(" CZ2D1X0GT3 \n")).toBe("CZ2D1X0GT3");
  expect(parseDmiUuid("4C4C4544-0037-4A10-8051-B9C04F4A5A31")).toBe("4c4c4544-0037-4a10-8051-b9c04f4a5a31");
  expect(parseDmiUuid("00000000-0000-0000-0000-000000000000")).toBe("");
  expect(parseDmiUuid("ffffffff-ffff-ffff-ffff-ffffffffffff")).toBe("");
});

test("addresses of controllers have a host and a port", () => {
  expect(parseAddress("10.77.0.1:9881")).toEqual({ host: "10.77.0.1", port: 9881 });
  expect(parseAddress("[fd77::1]:9881")).toEqual({ host: "fd77::1", port: 9881 });
  for (const wrong of ["10.77.0.1", "host:0", "host:65536", "fd77::1:9881", ":9881"]) {
    expect(() => parseAddress(wrong)).toThrow(/is not the address of a controller/);
  }
});

test("text from the network cannot drive the console", () => {
  let out = "";
  const console = openConsole(
    (text) => {
      out += text;
    },
    () => 12_345.6,
  );
  console.line("no: \u001b[2J\u0007 you\nmuster: accepted\u009b1m");
  expect(out).toBe("[   12.346] muster: no:  [2J  you muster: accepted 1m\n");
});

test("a stage that is tried again keeps its beginning", () => {
  let now = 100;
  const clock = openStageClock(() => now);
  clock.record("kernel", 0, 50, "6.1");
  clock.begin("network");
  now = 200;
  clock.begin("network");
  now = 300;
  clock.end("network", "eth0");
  clock.begin("connect");
  expect(clock.list()).toEqual([
    { stage: "kernel", startedMs: 0, endedMs: 50, detail: "6.1" },
    { stage: "network", startedMs: 100, endedMs: 300, detail: "eth0" },
    { stage: "connect", startedMs: 300, endedMs: 0, detail: "" },
  ]);
});

test("the tail of a log is whole lines within its bytes", () => {
  expect(tailOfLines("first\nsecond\nthird\n", 14)).toBe("second\nthird\n");
  expect(tailOfLines("short\n", 14)).toBe("short\n");
});
