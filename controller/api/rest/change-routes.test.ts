import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { RecordView } from "./inventory-schemas.ts";
import { openTestSite, TEST_NOW, type TestSite } from "./api-test-site.ts";
import { createApi } from "./create-api.ts";
import { hashToken } from "./hash-token.ts";

type Api = Awaited<ReturnType<typeof createApi>>;

let site: TestSite;
let api: Api;

beforeEach(async () => {
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
});

afterEach(async () => {
  await api.close();
  await site[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function get(url: string): Promise<Answer> {
  const answer = await api.inject({ url: `/api/v1${url}` });
  return { status: answer.statusCode, body: answer.json() };
}

async function post(payload: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const answer = await api.inject({ method: "POST", url: "/api/v1/changes", payload, headers });
  return { status: answer.statusCode, body: answer.json() };
}

const added = (kind: string, name: string, fields: object): object => ({ kind, name, revision: 0, fields });

describe("the inventory", () => {
  it("shows records as written, whole or of a node set, with secrets only when they are asked for", async () => {
    const bmc = { user: "admin", password: "s3cret" };
    await post({
      changes: [
        added("profile", "gpu", { bmc }),
        added("node", "c10", { profiles: ["gpu"], resources: { fstab: [{ spec: "home:/home" }] } }),
        added("node", "c9", {}),
      ],
    });
    const kept = { user: "admin", password: "(kept)" };
    const c9 = { kind: "node", name: "c9", revision: 1, fields: {} };
    const c10 = {
      ...{ kind: "node", name: "c10", revision: 1 },
      fields: { profiles: ["gpu"], resources: { fstab: [{ spec: "home:/home" }] } },
    };
    const gpu = { kind: "profile", name: "gpu", revision: 1, fields: { bmc: kept } };
    expect(await get("/inventory")).toEqual({ status: 200, body: { nodes: [c9, c10], profiles: [gpu] } });
    expect(await get("/inventory?nodes=c9&secrets=true")).toEqual({
      status: 200,
      body: { nodes: [c9], profiles: [{ ...gpu, fields: { bmc } }] },
    });
    expect(await get("/inventory?nodes=c8")).toMatchObject({
      status: 404,
      body: { error: { code: "node-unknown" } },
    });
    expect(await get("/profiles")).toEqual({ status: 200, body: { profiles: [gpu] } });
    expect(await get("/profiles/gpu?secrets=true")).toEqual({
      status: 200,
      body: { ...gpu, fields: { bmc } },
    });
    expect(await get("/profiles/gpv")).toMatchObject({
      status: 404,
      body: { error: { code: "profile-unknown", fix: "did you mean gpu?" } },
    });
    expect(await get("/nodes/c10")).toMatchObject({ status: 200, body: { profiles: ["gpu"], bmc: kept } });
    expect(JSON.stringify([await get("/nodes"), await get("/changes/1")])).not.toContain("s3cret");
    expect(await get("/changes/1?secrets=true")).toMatchObject({
      body: { effects: [{ name: "gpu", after: { bmc } }, {}, {}] },
    });
  });

  it("is shown as it was at a time, and refuses what is none", async () => {
    await post({ changes: [added("node", "c1", { comment: "x" })] });
    expect(await get(`/inventory?at=${TEST_NOW.toISOString()}`)).toEqual({
      status: 200,
      body: { nodes: [{ kind: "node", name: "c1", revision: 0, fields: { comment: "x" } }], profiles: [] },
    });
    expect(await get("/inventory?at=2026-11-20T11:59:00Z")).toMatchObject({ body: { nodes: [] } });
    expect(await get("/inventory?at=yesterday")).toMatchObject({
      status: 400,
      body: {
        error: {
          code: "request-invalid",
          findings: [{ at: "at", what: "is no time: 2026-11-20T12:00:00Z" }],
        },
      },
    });
  });
});

describe("changes", () => {
  it("say what was done, keep who and why, and are listed newest first", async () => {
    const changes = [added("node", "c1", {}), added("profile", "gpu", {})];
    expect(await post({ changes, dryRun: true })).toEqual({
      status: 200,
      body: {
        records: [
          { kind: "node", name: "c1", revision: 1, fields: {} },
          { kind: "profile", name: "gpu", revision: 1, fields: {} },
        ],
      },
    });
    expect(await post({ changes, reason: "new rack" }, { "muster-user": "alice" })).toMatchObject({
      status: 200,
      body: { id: 1 },
    });
    const renamed = { kind: "node", name: "c1", revision: 1, fields: { comment: "x" }, renameTo: "login" };
    expect(
      await post({ changes: [renamed] }, { "x-muster-reason": "it%20is%20a%20login%20node" }),
    ).toMatchObject({
      body: { id: 2, records: [{ name: "login", revision: 2 }] },
    });
    const at = TEST_NOW.toISOString();
    const first = {
      ...{ id: 1, at, user: "alice", reason: "new rack" },
      groups: [
        { kind: "node", names: "c1", count: 1, action: "added", fields: [] },
        { kind: "profile", names: "gpu", count: 1, action: "added", fields: [] },
      ],
    };
    const second = {
      ...{ id: 2, at, user: "root", reason: "it is a login node" },
      groups: [{ kind: "node", names: "c1", renamedTo: "login", count: 1, action: "renamed", fields: [] }],
    };
    expect(await get("/changes")).toEqual({ status: 200, body: { changes: [second, first] } });
    expect(await get("/changes?node=login&limit=1")).toEqual({ status: 200, body: { changes: [second] } });
    expect(await get("/changes?profile=gpu")).toEqual({ status: 200, body: { changes: [first] } });
    expect(await get("/changes?before=2")).toEqual({ status: 200, body: { changes: [first] } });
    expect(await get("/changes/2")).toEqual({
      status: 200,
      body: {
        ...second,
        effects: [{ kind: "node", name: "c1", before: {}, after: { comment: "x" }, renamedTo: "login" }],
      },
    });
    expect(await get("/changes/3")).toMatchObject({
      status: 404,
      body: { error: { code: "change-unknown" } },
    });
  });

  it("over HTTPS keep where their author was", async () => {
    const { certPem: certificatePem, keyPem } = await site.authority.issueServer({
      names: ["head"],
      addresses: [],
    });
    await site.deps.inventory.addApiToken("ci", hashToken("muster_secret"));
    const remote = await createApi(site.deps, { by: "token", certificatePem, keyPem });
    const answer = await remote.inject({
      ...{ method: "POST", url: "/api/v1/changes", remoteAddress: "10.0.0.9" },
      headers: { authorization: "Bearer muster_secret" },
      payload: { changes: [added("node", "c1", {})] },
    });
    await remote.close();
    expect(answer.statusCode).toBe(200);
    expect(await get("/changes")).toMatchObject({
      body: { changes: [{ user: "token:ci", address: "10.0.0.9" }] },
    });
  });

  it("for another revision are refused with both versions, and nothing is changed", async () => {
    await post({ changes: [added("node", "c1", { comment: "theirs" }), added("node", "c2", {})] });
    const stale = { kind: "node", name: "c1", revision: 7, fields: { comment: "mine" } };
    expect(
      await post({ changes: [{ kind: "node", name: "c2", revision: 1, fields: { comment: "x" } }, stale] }),
    ).toEqual({
      status: 409,
      body: {
        error: {
          code: "revision-stale",
          what: "c1 was changed meanwhile: it has revision 1, the change was made for revision 7",
          fix: "look at it again (`muster node show c1`) and repeat the change if it still applies",
          findings: [
            {
              at: "",
              what: "c1 was changed meanwhile: it has revision 1, the change was made for revision 7",
              fix: "look at it again (`muster node show c1`) and repeat the change if it still applies",
            },
          ],
          current: [{ kind: "node", name: "c1", revision: 1, fields: { comment: "theirs" } }],
          yours: [stale],
        },
      },
    });
    expect(await get("/inventory")).toMatchObject({
      body: { nodes: [{ name: "c1" }, { name: "c2", revision: 1 }] },
    });
  });

  it("are refused with everything that is wrong with them, and by what is no change at all", async () => {
    expect(
      await post({
        changes: [
          added("node", "c1", {
            devices: { eno1: { mtu: 12, mac: "no" } },
            tgas: {},
            runtimeOverlays: ["nope"],
          }),
        ],
      }),
    ).toMatchObject({
      status: 400,
      body: {
        error: {
          code: "request-invalid",
          findings: [{ at: "c1: devices.eno1.mtu" }, { at: "c1: devices.eno1.mac" }, { at: "c1: tgas" }],
        },
      },
    });
    expect(await post({ changes: [added("node", "c1", { runtimeOverlays: ["nope"] })] })).toMatchObject({
      status: 404,
      body: { error: { code: "overlay-unknown", fix: "there are: site" } },
    });
    expect(await post({ changes: [] })).toMatchObject({ status: 400 });
    expect(await post({ changes: [added("image", "x", {})] })).toMatchObject({ status: 400 });
    expect(await post({ changes: [{ kind: "node", name: "c1", revision: 0 }] })).toMatchObject({
      status: 400,
    });
    const hostile = '{"changes":[{"kind":"node","name":"c1","revision":0,"fields":{"__proto__":{"a":1}}}]}';
    const answer = await api.inject({
      method: "POST",
      url: "/api/v1/changes",
      payload: hostile,
      headers: { "content-type": "application/json" },
    });
    expect(answer.statusCode).toBe(400);
    expect(await get("/inventory")).toEqual({ status: 200, body: { nodes: [], profiles: [] } });
  });

  it("of ten writers at once are lost by none", async () => {
    const address = await api.listen({ host: "127.0.0.1", port: 0 });
    await post({ changes: [added("node", "c1", { tags: {} })] });
    let refused = 0;
    const addTag = async (writer: number, turn: number): Promise<void> => {
      for (;;) {
        const seen = (await (await fetch(`${address}/api/v1/inventory?nodes=c1`)).json()) as {
          nodes: readonly (RecordView & { fields: { tags?: object } })[];
        };
        const [node] = seen.nodes;
        const fields = { ...node?.fields, tags: { ...node?.fields.tags, [`w${writer}-${turn}`]: "x" } };
        const answer = await fetch(`${address}/api/v1/changes`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ changes: [{ kind: "node", name: "c1", revision: node?.revision, fields }] }),
        });
        if (answer.status === 200) return;
        expect([answer.status, await answer.json()]).toMatchObject([
          409,
          { error: { code: "revision-stale" } },
        ]);
        refused += 1;
      }
    };
    await Promise.all(
      Array.from({ length: 10 }, async (_, writer) => {
        for (let turn = 0; turn < 5; turn += 1) await addTag(writer, turn);
      }),
    );
    const { nodes } = await site.deps.inventory.listRecords();
    expect(Object.keys(nodes[0]?.fields.tags ?? {})).toHaveLength(50);
    expect(nodes[0]?.revision).toBe(51);
    expect(await site.deps.inventory.listChanges({ kind: "node", name: "c1", limit: 99 })).toHaveLength(51);
    // Otherwise they did not meet, and nothing was proved.
    expect(refused).toBeGreaterThan(0);
  });
});

describe("PATCH of nodes", () => {
  it("changes what is written of the node and leaves alone what its words do not know", async () => {
    const eno1 = { mac: "52:54:00:00:00:01", routes: ["10.2.0.0/16 via 10.1.0.1"] };
    await post({
      changes: [
        added("profile", "gpu", {
          tags: { a: "1" },
          kernelArguments: ["quiet"],
          devices: { ib0: { type: "infiniband" } },
        }),
        added("node", "c1", { profiles: ["gpu"], devices: { eno1 }, bmc: { user: "a", password: "p" } }),
      ],
    });
    const patch = await api.inject({
      method: "PATCH",
      url: "/api/v1/nodes/c1",
      payload: {
        revision: 1,
        changes: {
          comment: "x",
          tags: { b: "2" },
          devices: [{ name: "eno1", mac: "52-54-00-00-00-02", address: "10.1.0.2" }],
        },
      },
    });
    expect(patch.json()).toMatchObject({ revision: 2, tags: { a: "1", b: "2" }, kernelArguments: ["quiet"] });
    expect((await site.deps.inventory.listRecords()).nodes[0]?.fields).toEqual({
      profiles: ["gpu"],
      comment: "x",
      devices: {
        eno1: { mac: "52:54:00:00:00:02", address: "10.1.0.2", routes: ["10.2.0.0/16 via 10.1.0.1"] },
      },
      bmc: { user: "a", password: "p" },
      tags: { b: "2" },
    });
    const unset = await api.inject({
      method: "PATCH",
      url: "/api/v1/nodes/c1",
      payload: { revision: 2, changes: { comment: null, tags: { b: null }, profiles: [] } },
    });
    expect(unset.json()).toMatchObject({ revision: 3, tags: {}, kernelArguments: [] });
  });
});
