import { createHash } from "node:crypto";
import { chmod, lstat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";

import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { openTestSite, TEST_NOW, type TestSite } from "./api-test-site.ts";
import { createApi } from "./create-api.ts";
import { hashToken } from "./hash-token.ts";
import { followEvents } from "./history-routes.ts";
import { listenOnSocket } from "./listen.ts";

let site: TestSite;
let api: FastifyInstance;

beforeEach(async () => {
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
});

afterEach(async () => {
  await api.close();
  await site[Symbol.asyncDispose]();
});

async function ask(method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", url: string, body?: object) {
  const answer = await api.inject({
    method,
    url: `/api/v1${url}`,
    ...(body === undefined ? {} : { payload: body }),
  });
  return {
    status: answer.statusCode,
    body: answer.body === "" ? null : (JSON.parse(answer.body) as unknown),
  };
}

const C001 = {
  name: "c001",
  fields: {
    image: undefined,
    tags: { rack: "1" },
    devices: [{ name: "eno1", mac: "52-54-00-00-00-01", address: "10.77.0.11" }],
  },
};

const C001_VIEW = {
  name: "c001",
  revision: 1,
  kernelArguments: [],
  overlays: [],
  runtimeOverlays: [],
  tags: { rack: "1" },
  devices: [{ name: "eno1", type: "ethernet", mac: "52:54:00:00:00:01", address: "10.77.0.11" }],
  machine: {},
  createdAt: TEST_NOW.toISOString(),
  updatedAt: TEST_NOW.toISOString(),
  status: { state: "new" },
};

describe("nodes", () => {
  it("are added all or none, listed in natural order with their live state, and found by node set", async () => {
    const added = await ask("POST", "/nodes", {
      nodes: [C001, { name: "c10", fields: {} }, { name: "c2", fields: {} }],
    });
    expect(added.status).toBe(201);
    site.statuses.set("c001", {
      node: "c001" as never,
      state: "failed",
      stage: "fetch",
      lastSeenAt: TEST_NOW,
      failure: { stage: "fetch", code: "fetch-gave-up", what: "w", fix: "f", kernelLogTail: "long" },
    });
    const list = await ask("GET", "/nodes");
    expect(list.body).toMatchObject({ nodes: [{ name: "c001" }, { name: "c2" }, { name: "c10" }] });
    expect((await ask("GET", "/nodes?names=c001")).body).toEqual({
      nodes: [
        {
          ...C001_VIEW,
          status: {
            state: "failed",
            stage: "fetch",
            lastSeenAt: TEST_NOW.toISOString(),
            failure: { stage: "fetch", code: "fetch-gave-up", what: "w", fix: "f" },
          },
        },
      ],
    });
    expect((await ask("GET", "/nodes/c001")).body).toMatchObject({
      status: { failure: { kernelLogTail: "long" } },
    });
    expect((await ask("GET", "/nodes?state=new&names=c[001,2]")).body).toMatchObject({
      nodes: [{ name: "c2" }],
    });
  });

  it("are refused with everything that is wrong with them", async () => {
    const answer = await ask("POST", "/nodes", {
      nodes: [
        { name: "C 1", fields: { kernelArguments: ["a b", "muster.token=x"], comment: "two\nlines" } },
        {
          name: "c2",
          fields: {
            image: "../x",
            tags: { "a b": "1" },
            devices: [
              {
                name: "eth0",
                mac: "ff:ff:ff:ff:ff:ff",
                address: "127.0.0.1",
                netmask: "255.0.255.0",
                mtu: 9,
              },
              { name: "eno2", mac: "52:54:00:00:00:02" },
              { name: "eno2", mac: "525400000002" },
              { name: "eth/0", mtu: 1500 },
            ],
          },
        },
      ],
    });
    expect(answer.status).toBe(400);
    expect(
      (answer.body as { error: { findings: { at: string }[] } }).error.findings.map(({ at }) => at),
    ).toEqual([
      "nodes[0].fields.comment",
      "nodes[0].fields.kernelArguments[0]",
      "nodes[0].fields.kernelArguments[1]",
      "nodes[0].name",
      "nodes[1].fields.image",
      "nodes[1].fields.devices.eth0.mac",
      "nodes[1].fields.devices.eth0.address",
      "nodes[1].fields.devices.eth0.netmask",
      "nodes[1].fields.devices.eth0.mtu",
      "nodes[1].fields.devices.eth/0",
      "nodes[1].fields.tags",
      "nodes[1].fields.devices[2].name",
    ]);
    expect((await ask("GET", "/nodes")).body).toEqual({ nodes: [] });
  });

  it("are changed by who saw their revision; who did not is shown both", async () => {
    await ask("POST", "/nodes", { nodes: [C001] });
    const changed = await ask("PATCH", "/nodes/c001", {
      revision: 1,
      changes: { comment: "x", tags: { rack: null, row: "2" } },
    });
    expect(changed.body).toMatchObject({
      revision: 2,
      comment: "x",
      tags: { row: "2" },
      devices: C001_VIEW.devices,
    });
    const stale = await ask("PATCH", "/nodes/c001", { revision: 1, changes: { comment: "y" } });
    expect(stale).toMatchObject({
      status: 409,
      body: {
        error: {
          code: "revision-stale",
          what: "c001 was changed meanwhile: it has revision 2, the change was made for revision 1",
          current: [{ name: "c001", revision: 2, fields: { comment: "x" } }],
          yours: [{ name: "c001", revision: 1, fields: { comment: "y" } }],
        },
      },
    });
  });

  it("that are not there are answered with the names that may have been meant", async () => {
    await ask("POST", "/nodes", { nodes: [C001] });
    expect(await ask("GET", "/nodes/c01")).toEqual({
      status: 404,
      body: { error: { code: "node-unknown", what: 'there is no node "c01"', fix: "did you mean c001?" } },
    });
    expect(await ask("DELETE", "/nodes?names=c[001-003]")).toMatchObject({ status: 404 });
    expect(await ask("DELETE", "/nodes?names=c001")).toEqual({ status: 204, body: null });
    expect(await ask("GET", "/nodes/c001")).toMatchObject({ status: 404 });
  });
});

it("approves a machine under a name, and its claim code may be typed in any case", async () => {
  await site.wait("K7QM-2XHD", "52:54:00:00:00:09");
  expect((await ask("GET", "/pending")).body).toMatchObject({
    pending: [{ claimCode: "K7QM-2XHD", serial: "S100" }],
  });
  expect(await ask("POST", "/pending/k7qm-2xhd/approve", { name: "c9" })).toMatchObject({
    status: 200,
    body: { name: "c9" },
  });
  expect((await ask("GET", "/pending")).body).toEqual({ pending: [] });
  expect(await ask("POST", "/pending/K7QM-2XHD/approve", { name: "c8" })).toMatchObject({
    status: 404,
    body: { error: { code: "machine-not-pending" } },
  });
});

describe("blobs and images", () => {
  const content = Buffer.alloc(3_000_000, "x");
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;

  async function upload(query: string) {
    return api.inject({
      method: "PUT",
      url: `/api/v1/blobs${query}`,
      headers: { "content-type": "application/octet-stream" },
      payload: Readable.from([content]),
    });
  }

  it("stores a stream and registers an image of it, but of nothing that was not uploaded", async () => {
    expect((await upload("")).json()).toEqual({ digest, sizeBytes: 3_000_000 });
    const blob = { digest, sizeBytes: 3_000_000 };
    const version = {
      kernelRelease: "6.1.0",
      architecture: "x86_64",
      features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
      kernel: blob,
      modules: blob,
      layers: [blob],
      source: "/srv/debian12",
    };
    expect(await ask("POST", "/images/debian12/versions", version)).toMatchObject({
      status: 201,
      body: { version: 1 },
    });
    expect((await ask("GET", "/images/debian12")).body).toEqual({
      name: "debian12",
      versions: [{ ...version, image: "debian12", version: 1, createdAt: TEST_NOW.toISOString() }],
      channels: { stable: 1 },
    });
    const missing = { ...version, layers: [{ digest: `sha256:${"0".repeat(64)}`, sizeBytes: 1 }] };
    expect(await ask("POST", "/images/debian12/versions", missing)).toMatchObject({
      status: 404,
      body: { error: { code: "blob-missing" } },
    });
    const wrongSize = { ...version, kernel: { digest, sizeBytes: 1 } };
    expect(await ask("POST", "/images/debian12/versions", wrongSize)).toMatchObject({ status: 400 });
    expect(await ask("GET", "/images/debian11")).toMatchObject({
      status: 404,
      body: { error: { fix: "did you mean debian12?" } },
    });
  });

  it("keeps nothing of an upload with another digest than it said", async () => {
    const refused = await upload(`?digest=sha256:${"1".repeat(64)}`);
    expect(refused.json()).toMatchObject({ error: { code: "blob-corrupt" } });
    expect(await site.deps.blobs.list()).toEqual([]);
    expect((await ask("PUT", "/blobs", { not: "a stream" })).status).toBe(400);
  });
});

it("streams events without leaving one out or saying one twice, and ends when it is told to", async () => {
  site.happen({ severity: "info", kind: "one", what: "1" });
  const stop = new AbortController();
  const kinds: string[] = [];
  for await (const line of followEvents(site.deps.telemetry, { limit: 10 }, stop.signal)) {
    const { kind } = JSON.parse(line) as { kind: string };
    kinds.push(kind);
    // the second comes while the list is still read, the third when the stream waits
    if (kind === "one") site.happen({ severity: "info", kind: "two", what: "2" });
    if (kind === "two")
      setImmediate(() => {
        site.happen({ severity: "info", kind: "three", what: "3" });
      });
    if (kind === "three") stop.abort();
  }
  expect(kinds).toEqual(["one", "two", "three"]);
});

it("catches up with everything after an id, however many pages that is", async () => {
  for (let id = 1; id <= 7; id++) site.happen({ severity: "info", kind: `k${id}`, what: "w" });
  const stop = new AbortController();
  const kinds: string[] = [];
  const first = {
    ...site.deps.telemetry,
    listEvents: async (query: { afterId?: number; limit: number }) => {
      const all = await site.deps.telemetry.listEvents({ ...query, limit: 100 });
      return all.slice(0, query.limit);
    },
  };
  for await (const line of followEvents(first, { afterId: 1, limit: 2 }, stop.signal)) {
    kinds.push((JSON.parse(line) as { kind: string }).kind);
    if (kinds.length === 6) stop.abort();
  }
  expect(kinds).toEqual(["k2", "k3", "k4", "k5", "k6", "k7"]);
});

describe("access", () => {
  it("is refused by every route of the HTTPS server without a token, and none leaks what a token opens", async () => {
    const { certPem: certificatePem, keyPem } = await site.authority.issueServer({
      names: ["head"],
      addresses: [],
    });
    const remote = await createApi(site.deps, { by: "token", certificatePem, keyPem });
    const document = (await api.inject("/openapi.json")).json<{
      paths: Record<string, Record<string, unknown>>;
    }>();
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
    );
    expect(routes.length).toBeGreaterThan(25);
    const all = [...routes, { method: "GET", path: "/openapi.json" }, { method: "GET", path: "/nowhere" }];
    for (const authorization of [undefined, "Bearer muster_wrong", "Basic cm9vdDpyb290"]) {
      for (const { method, path } of all) {
        const answer = await remote.inject({
          method: method as "GET",
          url: path.replaceAll(/\{\w+\}/g, "x"),
          headers: { ...(authorization === undefined ? {} : { authorization }), "muster-user": "root" },
        });
        expect([method, path, answer.statusCode]).toEqual([method, path, 401]);
      }
    }
    await site.deps.inventory.addApiToken("ci", hashToken("muster_right"));
    const authorization = "Bearer muster_right";
    const answer = await remote.inject({ method: "GET", url: "/api/v1/nodes", headers: { authorization } });
    expect([answer.statusCode, answer.body]).toEqual([200, '{"nodes":[]}']);
    await remote.close();
  });

  it("shows a new token once and keeps its hash only", async () => {
    const created = await ask("POST", "/tokens", { name: "ci" });
    const token = `muster_${Buffer.alloc(32, 7).toString("base64url")}`;
    expect(created).toEqual({ status: 201, body: { name: "ci", token } });
    expect(await ask("POST", "/tokens", { name: "ci" })).toMatchObject({ status: 409 });
    expect(await ask("GET", "/tokens")).toEqual({
      status: 200,
      body: { tokens: [{ name: "ci", createdAt: TEST_NOW.toISOString() }] },
    });
    expect(await site.deps.inventory.useApiToken(hashToken(token), TEST_NOW)).toMatchObject({ name: "ci" });
    expect((await ask("DELETE", "/tokens/ci")).status).toBe(204);
    expect((await ask("DELETE", "/tokens/ci")).status).toBe(404);
  });
});

it("answers what it does not understand with 400 or 404, and its own failures without their details", async () => {
  expect(await ask("POST", "/nodes", { nodes: [{ name: "c1", fields: { colour: "red" } }] })).toEqual({
    status: 400,
    body: {
      error: {
        code: "request-invalid",
        what: 'nodes[0].fields: has unknown keys: "colour"',
        findings: [{ at: "nodes[0].fields", what: 'has unknown keys: "colour"' }],
      },
    },
  });
  expect(await ask("GET", "/nothing")).toMatchObject({ status: 404, body: { error: { code: "not-found" } } });
  const broken = await api.inject({
    method: "POST",
    url: "/api/v1/nodes",
    headers: { "content-type": "application/json" },
    payload: "{",
  });
  expect([broken.statusCode, broken.json<{ error: { code: string } }>().error.code]).toEqual([
    400,
    "request-invalid",
  ]);
  const bugs: unknown[] = [];
  const failing = await createApi(
    {
      ...site.deps,
      listOverlays: async () => Promise.reject(new Error("secret path /root/x")),
      onBug: (error, where) => void bugs.push([where, error]),
    },
    { by: "socket" },
  );
  const failed = await failing.inject("/api/v1/overlays");
  expect([failed.statusCode, failed.json()]).toEqual([
    500,
    { error: { code: "internal", what: "musterd failed at this request", fix: "its log says how" } },
  ]);
  expect(bugs).toEqual([["GET /api/v1/overlays", new Error("secret path /root/x")]]);
  await failing.close();
});

describe("the control socket", () => {
  it("is for its group alone and replaces one that a killed musterd left", async () => {
    const path = join(site.directory, "control.sock");
    await leaveStaleSocket(path);
    expect(await listenOnSocket(api, path, "root")).toEqual({ path });
    const { mode, gid } = await lstat(path);
    expect([(mode & 0o777).toString(8), gid]).toEqual(["660", 0]);
    const second = await createApi(site.deps, { by: "socket" });
    await expect(listenOnSocket(second, path, "root")).rejects.toMatchObject({
      code: "port-in-use",
      message: `another musterd answers on ${path}`,
    });
    await second.close();
  });

  it("stays with its owner when the group does not exist, and is no reason to remove a file", async () => {
    const path = join(site.directory, "control.sock");
    const { warning } = await listenOnSocket(api, path, "no-such-group");
    expect(warning).toContain("there is no group no-such-group");
    expect(((await lstat(path)).mode & 0o777).toString(8)).toBe("600");
    const file = join(site.directory, "file");
    await writeFile(file, "precious");
    await chmod(file, 0o600);
    const second = await createApi(site.deps, { by: "socket" });
    await expect(listenOnSocket(second, file, "root")).rejects.toMatchObject({
      message: `${file} is there and is no socket`,
    });
    await second.close();
  });
});

/** A socket file nobody listens on: what a process killed with SIGKILL leaves. */
async function leaveStaleSocket(path: string): Promise<void> {
  const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  await runCommand({ program: process.execPath, args: ["-e", script] }).catch(() => undefined);
  expect((await lstat(path)).isSocket()).toBe(true);
}
