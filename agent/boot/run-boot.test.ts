import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { sendUnaryData, ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type ErrorCode, MusterError } from "#proto/contract/muster-error.ts";
import { EnrollmentService, type EnrolRequest, type EnrolResponse } from "#proto/gen/muster/v1/enrollment.ts";
import {
  BlobsService,
  type BootPlan,
  type FetchBlobRequest,
  type FetchBlobResponse,
  type GetBootPlanRequest,
  type GetBootPlanResponse,
  ProvisioningService,
  type ReportBootRequest,
  type ReportFailureRequest,
  RootMode,
} from "#proto/gen/muster/v1/provisioning.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";

import { readIdentity } from "../identity/store-identity.ts";
import { makeTestAuthority, serveOnLoopback, type TestAuthority } from "../testing/loopback-controller.ts";
import { makeTestHost, type TestHost } from "../testing/test-host.ts";
import { runBoot } from "./run-boot.ts";

const never = new AbortController().signal;
const MAC = "52:54:00:00:00:01";
const BOOT_ID = "0f0c7a2e-6d4b-4b61-9a57-3d3ad0c1b7aa";
const layer = randomBytes(100_000);
const layerDigest = `sha256:${createHash("sha256").update(layer).digest("hex")}`;

let authority: TestAuthority;
beforeAll(async () => {
  authority = await makeTestAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

type EnrolCall = ServerWritableStream<EnrolRequest, EnrolResponse>;

interface Scene extends AsyncDisposable {
  readonly host: TestHost;
  readonly enrolRequests: EnrolRequest[];
  readonly reports: ReportBootRequest[];
  readonly failures: ReportFailureRequest[];
  readonly accept: (call: EnrolCall) => Promise<void>;
}

/** A machine and a controller; `enrol` answers enrolments, `plan` and `blob` change what is served. */
async function stage(options: {
  readonly enrol?: (call: EnrolCall, scene: Scene) => void;
  readonly plan?: Partial<BootPlan>;
  readonly blob?: Buffer;
  readonly cmdline?: string;
  readonly planError?: ErrorCode;
}): Promise<Scene> {
  const enrolRequests: EnrolRequest[] = [];
  const reports: ReportBootRequest[] = [];
  const failures: ReportFailureRequest[] = [];
  const host = await makeTestHost(async ({ args }) => {
    // Where the kernel would mount the image, the image's init appears.
    if (args[0] !== "mount" || args[2] !== "overlay") return {};
    await mkdir(join(host.root, "newroot/sbin"), { recursive: true });
    await writeFile(join(host.root, "newroot/sbin/init"), "#!/bin/sh\n");
    await chmod(join(host.root, "newroot/sbin/init"), 0o755);
    await mkdir(join(host.root, "newroot/var/log/journal"), { recursive: true });
    await host.write("newroot/usr/lib/muster/image.acl", "# file: var/log/journal\n");
    return {};
  });
  const agents = await serveOnLoopback(
    authority,
    [
      {
        definition: ProvisioningService,
        handlers: {
          getBootPlan: (
            _: ServerUnaryCall<GetBootPlanRequest, GetBootPlanResponse>,
            done: sendUnaryData<GetBootPlanResponse>,
          ) => {
            if (options.planError === undefined) done(null, { plan });
            else
              done(grpcErrorFrom(new MusterError({ code: options.planError, what: "no plan", fix: "see" })));
          },
          reportBoot: (call: ServerUnaryCall<ReportBootRequest, object>, done: sendUnaryData<object>) => {
            reports.push(call.request);
            done(null, {});
          },
          reportFailure: (
            call: ServerUnaryCall<ReportFailureRequest, object>,
            done: sendUnaryData<object>,
          ) => {
            failures.push(call.request);
            done(null, {});
          },
        },
      },
      {
        definition: BlobsService,
        handlers: {
          fetchBlob: (call: ServerWritableStream<FetchBlobRequest, FetchBlobResponse>) => {
            call.write({ data: (options.blob ?? layer).subarray(call.request.offset) });
            call.end();
          },
        },
      },
    ],
    { mutual: true },
  );
  const plan: BootPlan = {
    nodeName: "c001",
    imageName: "debian12",
    imageVersion: 3,
    kernelDigest: `sha256:${"1".repeat(64)}`,
    layers: [{ digest: layerDigest, sizeBytes: layer.length, ticket: Buffer.from("t") }],
    rootMode: RootMode.SQUASHFS,
    rootSizeBytes: 0,
    overlay: [
      {
        path: "/etc/hostname",
        mode: 0o644,
        uid: 0,
        gid: 0,
        xattrs: {},
        kind: { $case: "inlineFile", value: Buffer.from("c001\n") },
      },
    ],
    init: "/sbin/init",
    blobAddresses: [agents.address],
    retry: { giveUpAfterSeconds: 300, rebootAfterSeconds: 20 },
    ...options.plan,
  };
  const enrolment = await serveOnLoopback(
    authority,
    [
      {
        definition: EnrollmentService,
        handlers: {
          enrol: (call: EnrolCall) => {
            enrolRequests.push(call.request);
            if (options.enrol === undefined) void scene.accept(call);
            else options.enrol(call, scene);
          },
        },
      },
    ],
    { mutual: false },
  );
  const scene: Scene = {
    host,
    enrolRequests,
    reports,
    failures,
    accept: async (call) => {
      const certificate = await authority.sign(call.request.certificateRequest);
      const value = {
        nodeName: "c001",
        certificate,
        authority: authority.der,
        agentAddresses: [agents.address],
      };
      call.write({ event: { $case: "accepted", value } });
      call.end();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([host, agents, enrolment].map((each) => each[Symbol.asyncDispose]()));
    },
  };
  const cmdline =
    options.cmdline ??
    `muster.controllers=${enrolment.address} muster.ca=${authority.fingerprint} muster.token=once muster.kernel=sha256:${"1".repeat(64)} BOOTIF=01-52-54-00-00-00-01 muster.time=1000`;
  for (const [path, content] of Object.entries({
    "proc/cmdline": cmdline,
    "proc/sys/kernel/random/boot_id": `${BOOT_ID}\n`,
    "proc/meminfo": "MemTotal:        1000000 kB\nMemAvailable:     800000 kB\n",
    "proc/self/mountinfo": "",
    "run/muster/init-started": "1.50\n",
    "run/muster/lease.env": "ip=127.0.0.1\n",
    "sys/class/net/eth0/type": "1",
    "sys/class/net/eth0/address": MAC,
    "sys/class/net/eth0/carrier": "1",
    "sys/class/net/eth0/device/vendor": "0x1af4",
  })) {
    await host.write(path, content);
  }
  return scene;
}

test("a node boots: enrolled, verified, assembled, with its record left for the booted system", async () => {
  await using scene = await stage({});
  const { host } = scene;
  expect(await runBoot(host, never)).toEqual({
    kind: "switch",
    root: host.paths.newRoot,
    init: "/sbin/init",
  });
  expect(host.commands).toEqual([
    "busybox ip link set dev eth0 up",
    "busybox udhcpc -i eth0 -n -q -t 4 -T 3 -s /etc/udhcpc.script",
    "busybox mount -t tmpfs -o size=5m,mode=0700 tmpfs /run/muster/blobs",
    `busybox mount -t squashfs -o loop,ro /run/muster/blobs/${layerDigest.slice(7)} /run/muster/layers/0`,
    "busybox mount -t tmpfs -o size=50%,mode=0755 tmpfs /run/muster/rw",
    "busybox mount -t overlay -o lowerdir=/run/muster/agent:/run/muster/layers/0,upperdir=/run/muster/rw/upper,workdir=/run/muster/rw/work overlay /newroot",
    "setfacl --restore=/newroot/usr/lib/muster/image.acl",
  ]);
  expect(await readFile(join(host.paths.newRoot, "etc/hostname"), "utf8")).toBe("c001\n");
  expect(scene.enrolRequests[0]).toMatchObject({
    bootId: BOOT_ID,
    token: "once",
    machine: { bootMac: MAC, macs: [MAC], memoryBytes: 1_024_000_000 },
  });
  expect(scene.reports).toHaveLength(3);
  const names = scene.reports[2]?.stages.map(
    ({ stage: name, endedMs }) => `${name}${endedMs > 0 ? "" : "?"}`,
  );
  expect(names).toEqual([
    "kernel",
    "init",
    "network",
    "connect",
    "enrol",
    "plan",
    "fetch",
    "mount",
    "overlay",
    "switch",
  ]);
  expect(JSON.parse(await readFile(host.paths.node, "utf8"))).toMatchObject({
    name: "c001",
    image: "debian12",
    imageVersion: 3,
    bootId: BOOT_ID,
    bootMac: MAC,
  });
  expect(scene.failures).toEqual([]);
});

test("the identity is readable by root only, and the same key serves an agent that is started again", async () => {
  await using scene = await stage({});
  const { host } = scene;
  await runBoot(host, never);
  const identity = await readIdentity(host.paths.identity);
  expect((await stat(host.paths.identity)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(host.paths.identity)) {
    expect((await stat(join(host.paths.identity, name))).mode & 0o777).toBe(0o600);
  }
  await runBoot(host, never);
  expect(await readIdentity(host.paths.identity)).toEqual(identity);
  expect(scene.enrolRequests).toHaveLength(1);
});

test("an unknown machine shows its claim code, waits, and boots on when it is approved", async () => {
  await using scene = await stage({
    enrol: (call, { accept, host }) => {
      call.write({ event: { $case: "pending", value: { claimCode: "K7QM-2XHD" } } });
      const approved = setInterval(() => {
        if (!host.lines.some((line) => line.includes("muster node approve K7QM-2XHD --name NAME"))) return;
        clearInterval(approved);
        void accept(call);
      }, 5);
    },
  });
  expect((await runBoot(scene.host, never)).kind).toBe("switch");
  const names = scene.reports[2]?.stages.map(
    ({ stage: name, endedMs }) => `${name}${endedMs > 0 ? "" : "?"}`,
  );
  expect(names?.slice(3, 7)).toEqual(["connect", "enrol", "approval", "plan"]);
});

test("an enrolment stream that breaks is opened again with the same key", async () => {
  await using scene = await stage({
    enrol: (call, { accept, enrolRequests }) => {
      if (enrolRequests.length === 1) call.emit("error", { code: 14, details: "restarting" });
      else void accept(call);
    },
  });
  expect((await runBoot(scene.host, never)).kind).toBe("switch");
  expect(scene.host.lines).toContain("trying again in 0.5 s");
  expect(scene.enrolRequests).toHaveLength(2);
});

test("of several controllers the first that is up and proves itself is used, also for enrolment", async () => {
  await using scene = await stage({});
  await using impostorAuthority = await makeTestAuthority();
  await using impostor = await serveOnLoopback(impostorAuthority, [], { mutual: false });
  const { host } = scene;
  const cmdline = await readFile(host.paths.cmdline, "utf8");
  const real = /muster\.controllers=(\S+)/.exec(cmdline)?.[1] ?? "";
  await host.write("proc/cmdline", cmdline.replace(real, `127.0.0.1:1,${impostor.address},${real}`));
  expect((await runBoot(host, never)).kind).toBe("switch");
  expect(host.lines).toContain(`controller ${real} verified`);
  expect(scene.enrolRequests).toHaveLength(1);
});

test("a controller that goes away after it was verified is passed over at enrolment", async () => {
  await using scene = await stage({
    enrol: (call, { accept, enrolRequests }) => {
      if (enrolRequests.length === 1) call.emit("error", { code: 14, details: "shutting down" });
      else void accept(call);
    },
  });
  const { host } = scene;
  const cmdline = await readFile(host.paths.cmdline, "utf8");
  const real = /muster\.controllers=(\S+)/.exec(cmdline)?.[1] ?? "";
  // The same controller under another name: what matters is that the next address is asked at once, without a wait.
  const other = real.replace("127.0.0.1", "localhost");
  await host.write("proc/cmdline", cmdline.replace(real, `${real},${other}`));
  expect((await runBoot(host, never)).kind).toBe("switch");
  expect(host.lines.filter((line) => line.startsWith(`${real}: `))).toHaveLength(1);
  expect(host.slept).toEqual([]);
  expect(scene.enrolRequests).toHaveLength(2);
});

test("a token that is refused is one line, then a restart for a new one", async () => {
  await using scene = await stage({
    enrol: (call) => {
      call.emit(
        "error",
        grpcErrorFrom(new MusterError({ code: "token-refused", what: "the token was used already" })),
      );
    },
  });
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.host.lines.slice(-2)).toEqual([
    "FAILED at enrol: the token was used already — the controller's log says more (journalctl -u musterd); a restart gives this node a new token",
    "restarting this machine in 30 s",
  ]);
  expect(scene.host.slept.at(-1)).toBe(30_000);
});

test("a corrupt image is never mounted; the failure names the blob and reaches the controller", async () => {
  const flipped = Buffer.from(layer);
  flipped[50_000] = (flipped[50_000] ?? 0) ^ 0x10;
  await using scene = await stage({ blob: flipped });
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.host.commands.filter((command) => command.includes("squashfs"))).toEqual([]);
  expect(scene.failures).toHaveLength(1);
  expect(scene.failures[0]).toMatchObject({
    bootId: BOOT_ID,
    stage: "fetch",
    code: "blob-corrupt",
    blobDigest: layerDigest,
    retryInSeconds: 0,
  });
  expect(scene.host.slept.at(-1)).toBe(20_000);
});

test("a node without the memory for its image says so before it fetches", async () => {
  await using scene = await stage({});
  await scene.host.write("proc/meminfo", "MemTotal: 200000 kB\nMemAvailable:     100000 kB\n");
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.failures[0]).toMatchObject({ stage: "fetch", code: "memory-insufficient" });
  expect(scene.host.commands.filter((command) => command.includes("mount"))).toEqual([]);
});

test("another kernel than the plan's restarts at once", async () => {
  await using scene = await stage({ plan: { kernelDigest: `sha256:${"2".repeat(64)}` } });
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.failures[0]).toMatchObject({ stage: "plan", code: "kernel-mismatch" });
  expect(scene.host.slept).toEqual([0]);
});

test("an image without an init is told, not switched to", async () => {
  await using scene = await stage({ plan: { init: "/usr/lib/none" } });
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.failures[0]).toMatchObject({ stage: "switch", code: "init-missing" });
});

test("no image: what the controller says is on the console, and the machine restarts", async () => {
  await using scene = await stage({ planError: "no-image" });
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.host.lines).toContain("FAILED at plan: no plan — see");
});

test("a controller that stays away is waited for until the time is up, then the machine restarts or stays", async () => {
  await using scene = await stage({});
  const gone = `muster.controllers=127.0.0.1:1 muster.ca=${authority.fingerprint} muster.give_up_after=60`;
  await scene.host.write("proc/cmdline", gone);
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(
    scene.host.lines.filter((line) =>
      line.startsWith("FAILED at connect: the controller 127.0.0.1:1 refuses"),
    ).length,
  ).toBeGreaterThan(3);
  await scene.host.write("proc/cmdline", `${gone} muster.reboot_after=0`);
  expect(await runBoot(scene.host, never)).toEqual({ kind: "shell" });
});

test("a command line that names no controller restarts, or stays for whoever asked", async () => {
  await using scene = await stage({ cmdline: "quiet" });
  expect(await runBoot(scene.host, never)).toEqual({ kind: "reboot" });
  expect(scene.host.lines[0]).toMatch(
    /^FAILED at init: kernel command line: muster.controllers is missing — /,
  );
  await scene.host.write("proc/cmdline", "quiet muster.reboot_after=0");
  expect(await runBoot(scene.host, never)).toEqual({ kind: "shell" });
});

test("a clock before the boot script's time is set", async () => {
  await using scene = await stage({});
  const late = { ...scene.host, now: () => 500_000 };
  await runBoot(late, never);
  expect(scene.host.commands[0]).toBe("busybox date -s @1000");
});
