import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import type { PeerCertificate } from "node:tls";

import {
  ERROR_MEANINGS,
  type ErrorCode,
  errorSentence,
  MusterError,
  type MusterErrorParts,
} from "#proto/contract/muster-error.ts";

import type { BlobView } from "../api/rest/schemas.ts";
import { CONNECT_DEADLINE_MS, openHttp, type HttpRequest, type OpenHttp, readText } from "./open-http.ts";

/** Where the controller is and how to prove who asks. */
export type ApiAddress =
  | { readonly by: "socket"; readonly path: string; readonly user: string }
  | {
      readonly by: "https";
      readonly url: URL;
      readonly token: string;
      /** SHA-256 of the authority's certificate, 64 hex digits; without it the system's authorities count. */
      readonly caFingerprint?: string;
    };

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** Speaks to the controller. Failures are MusterErrors with the controller's own code, words and remedy. */
export interface ApiClient extends AsyncDisposable {
  get<T>(path: string, query?: Query): Promise<T>;
  send<T>(
    method: "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    query?: Query,
  ): Promise<T>;
  /** Posts, and gives the lines of JSON of the answer as they come; ends early when the signal is aborted. */
  sendAndFollow<T>(path: string, body: unknown, signal: AbortSignal): AsyncIterable<T>;
  /** Streams a blob to the controller's store. */
  upload(content: Readable, digest: string | undefined, signal: AbortSignal): Promise<BlobView>;
  /** The lines of a stream of JSON, parsed; ends when the controller ends it or the signal is aborted. */
  follow<T>(path: string, query: Query, signal: AbortSignal): AsyncIterable<T>;
}

/** A controller that does not answer a request within this is not reachable for a person at a prompt. */
const ANSWER_DEADLINE_MS = 90_000;

/** Opens the client. Nothing is looked for, loaded or connected before the first request. */
export function openApiClient(locate: () => Promise<ApiAddress>): ApiClient {
  let opened: Promise<Connection> | undefined;
  const connection = (): Promise<Connection> => (opened ??= locate().then(openConnection));
  const exchange = async ({
    type,
    query = {},
    ...request
  }: Omit<HttpRequest, "headers"> & {
    readonly query?: Query;
    readonly type?: string;
  }): Promise<IncomingMessage> => {
    const { http, headers, address } = await connection();
    try {
      const response = await http.request({
        ...request,
        path: withQuery(`/api/v1${request.path}`, query),
        headers: { ...headers, ...(type === undefined ? {} : { "content-type": type }) },
      });
      if ((response.statusCode ?? 0) < 400) return response;
      throw await readRefusal(response);
    } catch (error) {
      throw error instanceof MusterError ? error : unreachable(address, error);
    }
  };
  const parsed = async <T>(response: IncomingMessage): Promise<T> => {
    try {
      const text = await readText(response);
      return (text === "" ? null : JSON.parse(text)) as T;
    } catch (error) {
      throw unreachable((await connection()).address, error);
    }
  };
  return {
    get: async (path, query = {}) =>
      parsed(await exchange({ method: "GET", path, query, silenceMs: ANSWER_DEADLINE_MS })),
    send: async (method, path, body, query = {}) =>
      parsed(
        await exchange({
          ...{ method, path, query, silenceMs: ANSWER_DEADLINE_MS },
          ...(body === undefined ? {} : { body: JSON.stringify(body), type: "application/json" }),
        }),
      ),
    upload: async (body, digest, signal) =>
      parsed(
        await exchange({
          ...{ method: "PUT", path: "/blobs", query: { digest }, body, type: "application/octet-stream" },
          // the answer comes when the disk has it all
          ...{ silenceMs: 600_000, signal },
        }),
      ),
    follow: (path, query, signal) =>
      followLines(() => exchange({ method: "GET", path, query, signal }), signal),
    sendAndFollow: (path, body, signal) =>
      followLines(
        () =>
          exchange({
            ...{ method: "POST", path, body: JSON.stringify(body), type: "application/json" },
            signal,
          }),
        signal,
      ),
    [Symbol.asyncDispose]: async () => {
      const open = await opened?.catch(() => undefined);
      open?.http.close();
    },
  };
}

interface Connection {
  readonly address: ApiAddress;
  readonly http: OpenHttp;
  readonly headers: Readonly<Record<string, string>>;
}

async function openConnection(address: ApiAddress): Promise<Connection> {
  if (address.by === "socket") {
    return {
      address,
      http: openHttp({ socketPath: address.path }),
      headers: { "muster-user": address.user },
    };
  }
  const { url, token, caFingerprint } = address;
  const ca = caFingerprint === undefined ? undefined : await fetchAuthority(url, caFingerprint);
  return {
    address,
    http: openHttp({ url, ...(ca === undefined ? {} : { ca }) }),
    headers: { authorization: `Bearer ${token}` },
  };
}

/**
 * The certificate with this fingerprint from the chain the controller shows, as PEM. Nothing is sent on this
 * first connection; the second one then verifies the controller against exactly that authority.
 */
async function fetchAuthority(url: URL, fingerprint: string): Promise<string> {
  // 16 ms that a command at the controller itself does without
  const { connect } = await import("node:tls");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({
    host: url.hostname,
    port: Number(url.port === "" ? 443 : url.port),
    servername: /^[\d.]+$/.test(url.hostname) ? "" : url.hostname,
    rejectUnauthorized: false,
  });
  socket.setTimeout(CONNECT_DEADLINE_MS, () => {
    socket.destroy(new Error(`no answer within ${CONNECT_DEADLINE_MS / 1000} s`));
  });
  socket.once("error", (error) => {
    reject(unreachable({ by: "https", url, token: "" }, error));
  });
  socket.once("secureConnect", () => {
    const chain = chainOf(socket.getPeerCertificate(true));
    const found = chain.find((raw) => createHash("sha256").update(raw).digest("hex") === fingerprint);
    if (found !== undefined) {
      resolve(`-----BEGIN CERTIFICATE-----\n${found.toString("base64")}\n-----END CERTIFICATE-----\n`);
      return;
    }
    reject(
      new MusterError({
        code: "certificate-mismatch",
        what: `${url.origin} is not certified by the authority ${fingerprint.slice(0, 16)}...`,
        fix: "compare with `muster status` on the controller; if the fingerprint is right, this is another machine",
      }),
    );
  });
  return promise.finally(() => socket.destroy());
}

function chainOf(certificate: PeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let at: PeerCertificate | undefined = certificate;
  while (at?.raw !== undefined && !chain.some((seen) => seen.equals(at?.raw ?? Buffer.alloc(0)))) {
    chain.push(at.raw);
    at = "issuerCertificate" in at ? (at.issuerCertificate as PeerCertificate) : undefined;
  }
  return chain;
}

async function* followLines<T>(
  request: () => Promise<IncomingMessage>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  try {
    const body = await request();
    body.setEncoding("utf8");
    let rest = "";
    for await (const chunk of body) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The controller's own words, when it said any. */
async function readRefusal(response: IncomingMessage): Promise<MusterError> {
  const text = await readText(response);
  const error = refusalOf(text);
  if (error === undefined) {
    return new MusterError({
      code: "internal",
      what: `the controller answered ${response.statusCode}: ${text.slice(0, 200)}`,
      fix: "see that --controller names musterd's API port, and not something else",
    });
  }
  const code: ErrorCode = error.code in ERROR_MEANINGS ? (error.code as ErrorCode) : "internal";
  const parts = { code, what: error.what, ...(error.fix === undefined ? {} : { fix: error.fix }) };
  return error.findings === undefined ? new MusterError(parts) : new RefusedRequest(parts, error.findings);
}

/** Something wrong with a request, and where; of a change, "c001: devices.eno1.mac". */
export interface RequestFindingView {
  readonly at: string;
  readonly what: string;
  readonly fix?: string;
}

/** A refusal that tells each thing that is wrong by itself. */
export class RefusedRequest extends MusterError {
  readonly findings: readonly RequestFindingView[];

  constructor(parts: MusterErrorParts, findings: readonly RequestFindingView[]) {
    super(parts);
    this.findings = findings;
  }
}

interface Refusal {
  readonly code: string;
  readonly what: string;
  readonly fix?: string;
  readonly findings?: readonly RequestFindingView[];
}

function refusalOf(text: string): Refusal | undefined {
  try {
    const body = JSON.parse(text) as { error?: Partial<Record<keyof Refusal, unknown>> } | null;
    const { code, what, fix, findings } = body?.error ?? {};
    if (typeof code !== "string" || typeof what !== "string") return undefined;
    return {
      code,
      what,
      ...(typeof fix === "string" ? { fix } : {}),
      ...(Array.isArray(findings) ? { findings: findings as readonly RequestFindingView[] } : {}),
    };
  } catch {
    return undefined;
  }
}

function unreachable(address: ApiAddress, cause: unknown): MusterError {
  const code = codeOf(cause);
  if (code === "ECONNRESET" || code === "EPIPE") {
    return new MusterError({
      code: "controller-unreachable",
      what: "musterd was there, and went away before it had answered",
      fix: "see how it is (systemctl status musterd); before you repeat a change, see whether it was made: `muster history`",
      cause,
    });
  }
  if (address.by === "https") {
    const isCertificate = /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO/.test(code ?? "");
    return new MusterError({
      code: isCertificate ? "certificate-mismatch" : "controller-unreachable",
      what: `cannot reach musterd at ${address.url.origin}: ${errorSentence(cause)}`,
      fix: isCertificate
        ? "pin the cluster's authority: --ca-fingerprint or MUSTER_CA (`muster status` on the controller prints it)"
        : "see that the address and port are right and that muster.yaml has api.remote: true",
      cause,
    });
  }
  const { path } = address;
  if (code === "EACCES" || code === "EPERM") {
    return new MusterError({
      code: "permission-denied",
      what: `may not use ${path}`,
      fix: `be root, or a member of the group of ${path} (usermod -aG muster ${address.user}, then log in again)`,
      cause,
    });
  }
  const why =
    code === "ENOENT"
      ? "there is no such socket"
      : code === "ECONNREFUSED"
        ? "nobody answers on it"
        : errorSentence(cause);
  return new MusterError({
    code: "controller-unreachable",
    what: `cannot reach musterd at ${path}: ${why}`,
    fix: "start it with systemctl start musterd (its log: journalctl -u musterd)",
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function withQuery(path: string, query: Query): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) words.set(name, String(value));
  const text = words.toString();
  return text === "" ? path : `${path}?${text}`;
}
