import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { runCommand } from "#proto/host/run-command.ts";

import { makeCertificateRequest } from "../identity/make-certificate-request.ts";
import { keyPem, type NodeIdentity, openBootKey } from "../identity/store-identity.ts";

/** A certificate authority made by openssl, with a controller's certificate for 127.0.0.1. For tests. */
export interface TestAuthority extends AsyncDisposable {
  readonly directory: string;
  readonly pem: string;
  readonly fingerprint: string;
  readonly der: Buffer;
  /** Signs a request in DER for a day; DER. */
  readonly sign: (request: Buffer) => Promise<Buffer>;
  /** A node that has enrolled. */
  readonly makeIdentity: (nodeName: string, agentAddresses: readonly string[]) => Promise<NodeIdentity>;
  readonly serverKey: Buffer;
  /** Leaf and authority. */
  readonly serverChain: Buffer;
}

export async function makeTestAuthority(): Promise<TestAuthority> {
  const directory = await mkdtemp(join(tmpdir(), "muster-authority-"));
  const at = (name: string): string => join(directory, name);
  const openssl = (...args: readonly string[]): Promise<unknown> =>
    runCommand({ program: "openssl", args, cwd: directory });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=muster test",
  );
  await openssl("req", ...newKey, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=controller");
  await writeFile(at("server.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1"];
  await openssl("x509", "-req", "-in", "server.csr", ...by, "-extfile", "server.ext", "-out", "server.pem");
  const pem = await readFile(at("ca.pem"), "utf8");
  const certificate = new X509Certificate(pem);
  let count = 0;
  const sign = async (request: Buffer): Promise<Buffer> => {
    const name = `node-${count++}`;
    await writeFile(at(`${name}.csr`), request);
    await openssl(
      "x509",
      "-req",
      "-inform",
      "DER",
      "-in",
      `${name}.csr`,
      ...by,
      "-outform",
      "DER",
      "-out",
      `${name}.der`,
    );
    return readFile(at(`${name}.der`));
  };
  return {
    directory,
    pem,
    der: certificate.raw,
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    sign,
    makeIdentity: async (nodeName, agentAddresses) => {
      const key = await openBootKey(at(nodeName));
      const der = await sign(makeCertificateRequest(key, nodeName));
      const certificatePem = new X509Certificate(der).toString();
      return { nodeName, keyPem: keyPem(key), certificatePem, authorityPem: pem, agentAddresses };
    },
    serverKey: await readFile(at("server.key")),
    serverChain: Buffer.concat([await readFile(at("server.pem")), Buffer.from(pem)]),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** A gRPC server on loopback. */
export interface LoopbackServer extends AsyncDisposable {
  readonly address: string;
}

/** Serves over TLS; `mutual` demands a certificate of the authority from the client. `port` 0: any. */
export async function serveOnLoopback(
  authority: TestAuthority,
  services: readonly {
    readonly definition: ServiceDefinition;
    readonly handlers: UntypedServiceImplementation;
  }[],
  options: { readonly mutual: boolean; readonly port?: number },
): Promise<LoopbackServer> {
  const server = new Server();
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  const credentials = ServerCredentials.createSsl(
    Buffer.from(authority.pem),
    [{ private_key: authority.serverKey, cert_chain: authority.serverChain }],
    options.mutual,
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    address: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.forceShutdown();
    },
  };
}
