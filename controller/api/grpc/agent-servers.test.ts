import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  type ChannelCredentials,
  Client,
  credentials,
  makeGenericClientConstructor,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import * as enrollment from "#proto/gen/muster/v1/enrollment.ts";
import * as machine from "#proto/gen/muster/v1/machine.ts";
import * as provisioning from "#proto/gen/muster/v1/provisioning.ts";
import * as session from "#proto/gen/muster/v1/session.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";
import {
  type LoopbackController,
  makeMachine,
  nodeCredentials,
  pemOf,
  startLoopbackController,
} from "../../../test/fixtures/controller-on-loopback.ts";
import { makeCertificateRequest } from "../../../test/fixtures/make-certificate-request.ts";
import { openCertificateAuthority } from "../../identity/certificate-authority.ts";
import { guardCalls } from "./authorize-calls.ts";
import { METHOD_POLICIES } from "./method-policy.ts";
import { startGrpcServer } from "./start-grpc-server.ts";

type Method = MethodDefinition<unknown, unknown>;

const C001 = parseNodeName("c001");

/** Every method of every service in the generated code, found by looking, not by listing. */
const METHODS = [enrollment, machine, provisioning, session].flatMap((module) =>
  Object.entries(module)
    .filter(([name, value]) => name.endsWith("Service") && typeof value === "object")
    .flatMap(([, definition]) => Object.values(definition as unknown as ServiceDefinition)),
);
const AGENT_METHODS = METHODS.filter(({ path }) => METHOD_POLICIES.get(path) === "current-node");

let controller: LoopbackController;
beforeEach(async () => {
  controller = await startLoopbackController();
  await controller.addNode("c001", "52:54:00:12:34:56");
});
afterEach(async () => {
  const { bugs } = controller;
  await controller[Symbol.asyncDispose]();
  expect(bugs).toEqual([]);
});

/** A certificate and key for a node, current when `record` is true. */
async function identityOf(
  options: { readonly bootId?: string; readonly record?: boolean; readonly lifetimeSeconds?: number } = {},
): Promise<ChannelCredentials> {
  const { csrDer, keyPem } = await makeCertificateRequest();
  const bootId = options.bootId ?? "boot-1";
  const issued = await controller.authority.issueNode({
    csrDer,
    node: C001,
    bootId,
    lifetimeSeconds: options.lifetimeSeconds ?? 3600,
  });
  if (options.record ?? true) {
    await controller.inventory.recordIdentity({
      node: C001,
      bootId,
      keyHash: issued.keyHash,
      certificateSerial: issued.serial,
      issuedAt: controller.clock.now,
      expiresAt: issued.expiresAt,
    });
  }
  return nodeCredentials(controller.authority.certificatePem, keyPem, issued.certificateDer);
}

/** Calls a method with raw bytes and says how it ended: the code of ours, or of the transport. */
function call(
  method: Method,
  tls: ChannelCredentials,
  port = controller.agents.port,
  bytes: Buffer = Buffer.alloc(0),
): Promise<string> {
  const raw = (value: Buffer): Buffer => value;
  const Raw = makeGenericClientConstructor(
    {
      call: {
        ...method,
        requestSerialize: raw,
        requestDeserialize: raw,
        responseSerialize: raw,
        responseDeserialize: raw,
      },
    },
    "Raw",
  );
  const client = new Raw(`localhost:${port}`, tls, {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_send_message_length": -1,
  });
  expect(client).toBeInstanceOf(Client);
  return new Promise<string>((resolve) => {
    const stream = client.makeBidiStreamRequest(method.path, raw, raw, { deadline: Date.now() + 10_000 });
    stream.on("error", (error: ServiceError) => {
      resolve(musterErrorFromGrpc(error).code);
    });
    stream.on("data", () => undefined);
    stream.on("end", () => {
      resolve("ok");
    });
    stream.end(bytes);
  }).finally(() => {
    client.close();
  });
}

describe("method policies", () => {
  test("cover exactly the methods of the generated services", () => {
    expect(METHODS.map(({ path }) => path).sort()).toEqual([...METHOD_POLICIES.keys()].sort());
    expect(
      METHODS.filter(({ path }) => METHOD_POLICIES.get(path) === "anyone").map(({ path }) => path),
    ).toEqual(["/muster.v1.Enrollment/Enrol"]);
  });

  test("a method that is not in the table is refused even when a server offers it", async () => {
    const shutDown = { ...session.SessionService.connect, path: "/x.Y/ShutDown" } as unknown as Method;
    const definition: ServiceDefinition = { shutDown };
    const server = await startGrpcServer(
      {
        address: "127.0.0.1",
        port: 0,
        ...(await controller.authority.issueServer({ names: ["localhost"], addresses: [] })),
      },
      {
        services: [
          {
            definition,
            implementation: {
              shutDown: () => {
                throw new Error("reached");
              },
            },
          },
        ],
        guard: guardCalls({ now: () => new Date(), onBug: (bug) => controller.bugs.push(bug) }),
        maxRequestBytes: 1024,
      },
    );
    const tls = credentials.createSsl(Buffer.from(controller.authority.certificatePem));
    expect(await call(shutDown, tls, server.port)).toBe("permission-denied");
    await server[Symbol.asyncDispose]();
  });
});

describe.each(AGENT_METHODS.map((method) => [method.path, method] as const))("%s", (_path, method) => {
  test("is refused without a certificate", async () => {
    const tls = credentials.createSsl(Buffer.from(controller.authority.certificatePem));
    expect(await call(method, tls)).toMatch(/^(controller-unreachable|certificate-mismatch)$/);
  });

  test("is refused with a certificate of another authority", async () => {
    const directory = await mkdtemp(join(tmpdir(), "muster-foreign-"));
    const foreign = await openCertificateAuthority(directory, () => new Date());
    await rm(directory, { recursive: true });
    const { csrDer, keyPem } = await makeCertificateRequest();
    await identityOf();
    const issued = await foreign.issueNode({ csrDer, node: C001, bootId: "boot-1", lifetimeSeconds: 60 });
    const tls = nodeCredentials(controller.authority.certificatePem, keyPem, issued.certificateDer);
    expect(await call(method, tls)).toMatch(/^(controller-unreachable|certificate-mismatch)$/);
  });

  test("is refused with a controller's certificate", async () => {
    const server = await controller.authority.issueServer({ names: ["c001"], addresses: [] });
    const tls = credentials.createSsl(
      Buffer.from(controller.authority.certificatePem),
      Buffer.from(server.keyPem),
      Buffer.from(server.certPem),
    );
    expect(await call(method, tls)).toMatch(
      /^(controller-unreachable|certificate-mismatch|certificate-refused)$/,
    );
  });

  test("is refused with the certificate of an earlier boot", async () => {
    const earlier = await identityOf({ bootId: "boot-1" });
    await identityOf({ bootId: "boot-2" });
    expect(await call(method, earlier)).toBe("certificate-refused");
  });

  test("is refused once the certificate expired, on an open connection too", async () => {
    const tls = await identityOf({ lifetimeSeconds: 60 });
    controller.clock.now = new Date(controller.clock.now.getTime() + 61_000);
    expect(await call(method, tls)).toBe("certificate-refused");
  });

  test("is refused to a deleted node", async () => {
    const tls = await identityOf();
    await controller.inventory.deleteNodes([C001], { user: "root" });
    expect(await call(method, tls)).toBe("certificate-refused");
  });

  test("survives messages that are no messages and messages that are too large", async () => {
    const tls = await identityOf();
    const junk = await call(method, tls, undefined, Buffer.from("\xff\xff\xff\xff\xff\xff", "latin1"));
    expect(junk).toBe("controller-unreachable");
    expect(await call(method, tls, undefined, Buffer.alloc(2 * 1024 * 1024))).toBe("controller-refused");
    expect(await call(method, tls)).not.toBe("controller-unreachable");
  });
});

describe("startGrpcServer", () => {
  test("says which port is taken and what to do", async () => {
    const tls = await controller.authority.issueServer({ names: ["localhost"], addresses: [] });
    await expect(
      startGrpcServer(
        { address: "127.0.0.1", port: controller.agents.port, ...tls },
        { services: [], guard: (_method, next) => next as never, maxRequestBytes: 1 },
      ),
    ).rejects.toMatchObject({
      code: "port-in-use",
      message: expect.stringMatching(
        new RegExp(`^cannot listen on 127\\.0\\.0\\.1 port ${controller.agents.port}: .*EADDRINUSE`),
      ) as string,
    });
  });
});

test("a node that calls in a loop is refused, with a certificate or not", async () => {
  await controller[Symbol.asyncDispose]();
  controller = await startLoopbackController({ perAddress: { perSecond: 0.001, burst: 2 } });
  await controller.addNode("c001", "52:54:00:12:34:56");
  const [method] = AGENT_METHODS;
  if (method === undefined) throw new Error("there are no such methods");
  const tls = await identityOf();
  expect([await call(method, tls), await call(method, tls)]).not.toContain("too-many-requests");
  expect(await call(method, tls)).toBe("too-many-requests");
});

test("a machine in discovery cannot reach a node's methods with what enrolment gave it", async () => {
  const { request } = await makeMachine("52:54:00:12:34:57");
  expect(request.token).toBe("");
  const tls = credentials.createSsl(Buffer.from(pemOf(controller.authority.certificateDer)));
  for (const method of AGENT_METHODS)
    expect(await call(method, tls, controller.enrolment.port)).not.toBe("ok");
});
