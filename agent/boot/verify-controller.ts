import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";

import { parseAddress } from "./parse-address.ts";
import type { NetworkProblem } from "./diagnose-network.ts";

const CONNECT_DEADLINE_MS = 5_000;

/** What the machine at a controller's address turned out to be. */
export type ControllerCheck =
  | { readonly kind: "verified"; readonly authorityPem: string }
  | { readonly kind: "problem"; readonly problem: NetworkProblem };

/**
 * Opens TLS to a controller and compares the certificate authority it presents with the fingerprint from the
 * boot script. Nothing is sent over this connection; afterwards that authority is the only one trusted.
 *
 * The chain must contain the authority itself, since a fingerprint is all this node knows.
 */
export async function verifyController(
  address: string,
  authorityFingerprint: string,
  ownAddress: string,
  signal: AbortSignal,
): Promise<ControllerCheck> {
  const { host, port } = parseAddress(address);
  let chain: readonly X509Certificate[];
  try {
    chain = await readChain(host, port, signal);
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "problem", problem: problemOf(error, address, ownAddress) };
  }
  const authority = chain.find((certificate) => fingerprintOf(certificate) === authorityFingerprint);
  if (authority !== undefined && isSignedChain(chain, authority)) {
    return { kind: "verified", authorityPem: authority.toString() };
  }
  const last = chain.at(-1);
  return {
    kind: "problem",
    problem: {
      kind: "certificate-mismatch",
      address,
      expected: authorityFingerprint,
      presented: last === undefined ? "no certificate" : fingerprintOf(last),
    },
  };
}

function readChain(host: string, port: number, signal: AbortSignal): Promise<readonly X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      // The chain is judged by its fingerprint below; no authority is known yet.
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ALPNProtocols: ["h2"],
    });
    const timer = setTimeout(() => {
      finish(new Error(`no answer within ${CONNECT_DEADLINE_MS / 1000} s`));
    }, CONNECT_DEADLINE_MS);
    const onAbort = (): void => {
      finish(new Error("aborted"));
    };
    const finish = (outcome: Error | readonly X509Certificate[]): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("secureConnect", () => {
      finish(chainOf(socket));
    });
    socket.on("error", finish);
    socket.once("close", () => {
      finish(new Error("the connection was closed"));
    });
  });
}

/** The presented chain, leaf first. */
function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let at = socket.getPeerX509Certificate();
  while (at !== undefined && !chain.some((seen) => seen.fingerprint256 === at?.fingerprint256)) {
    chain.push(at);
    at = at.issuerCertificate;
  }
  return chain;
}

/** Each certificate up to the authority is signed by the next: the authority was not merely appended. */
function isSignedChain(chain: readonly X509Certificate[], authority: X509Certificate): boolean {
  const upTo = chain.slice(0, chain.indexOf(authority));
  return upTo.every((certificate, index) => {
    const issuer = chain[index + 1];
    return issuer !== undefined && certificate.verify(issuer.publicKey);
  });
}

function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

function problemOf(error: unknown, address: string, own: string): NetworkProblem {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const detail = error instanceof Error ? error.message : String(error);
  if (code === "ECONNREFUSED") return { kind: "port-refused", address };
  if (["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "ENETDOWN"].includes(code)) {
    return { kind: "no-route", address, own };
  }
  if (code === "ECONNRESET" || code.startsWith("ERR_SSL") || code === "EPROTO") {
    return { kind: "no-tls", address, detail };
  }
  return { kind: "unreachable", address, detail };
}
