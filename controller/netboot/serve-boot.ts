import { access } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { Type } from "typebox";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import { type MacAddress, readMacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { errorMeaning, errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { makeRateLimiter } from "../api/grpc/limit-rate.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { MusterEvent } from "../events/telemetry.ts";
import { parseSourceAddress } from "../identity/parse-source-address.ts";
import type { ImpostorAttempt } from "../identity/watch-impostors.ts";
import type { BlobStore } from "../images/blob-store.ts";
import type { Fleet } from "../sessions/fleet.ts";
import { findIpxeBinaries } from "./gather-dnsmasq-facts.ts";
import type { NetbootLog } from "./netboot-log.ts";
import { planWait } from "./plan-boot-script.ts";
import { renderIpxe, renderStartScript } from "./render-ipxe.ts";
import { type BootResolution, resolveBoot } from "./resolve-boot.ts";
import { createFileHasher, serveFile } from "./serve-file.ts";

/** What {@link createBootServer} works with. */
export interface BootServerEffects extends BootResolution {
  readonly config: MusterConfig;
  readonly blobs: Pick<BlobStore, "verifiedPath">;
  readonly fleet: Pick<Fleet, "scriptServed" | "scriptDisowned" | "artifactServed">;
  /** Whether the node lives on in the boot of its session; takes seconds at most. */
  readonly isUp: (node: NodeName) => Promise<boolean>;
  readonly onImpostor: (attempt: ImpostorAttempt) => void;
  readonly onEvent: (event: Omit<MusterEvent, "id" | "at">) => void;
  readonly log: NetbootLog;
}

/** The longest URL of ours has 130 characters and a serial number. */
const LONGEST_URL = 1024;
/** iPXE keeps one connection per machine; a full cluster restarts at once. */
const MOST_CONNECTIONS = 16_384;
/** A download that moved no byte for this long is over. */
const STALLED_MS = 120_000;
/** A script may cost a token, which is written to disk: iPXE asks every 6 s at most, a whole cluster at once. */
const SCRIPTS_PER_MACHINE = { perSecond: 5, burst: 30 };
const SCRIPTS = { perSecond: 500, burst: 12_000 };
/** A node that is up answers within this time, normally: its boot is not shown as begun for a moment. */
const ANSWERS_AT_ONCE_MS = 250;
const BASE_ARCHIVES = ["base-zstd.cpio", "base-gzip.cpio"];
/** A machine that has nothing to boot asks every minute; the same reason is an event again after this time. */
const REPEAT_EVENT_MS = 3_600_000;
/** Addresses remembered so that an event can name the node that was booting from there. */
const MOST_REMEMBERED = 20_000;

const machineQuery = Type.Object({
  mac: Type.String({ maxLength: 32 }),
  uuid: Type.String({ maxLength: 64, default: "" }),
  serial: Type.String({ maxLength: 256, default: "" }),
  platform: Type.String({ maxLength: 32, default: "" }),
  buildarch: Type.String({ maxLength: 32, default: "" }),
});

/**
 * The boot artifacts over plain HTTP, for firmware and iPXE, which cannot check certificates we could give them.
 * Nothing secret is served but the one-time token in a machine's script, and nothing is kept: any musterd can
 * answer any request. What the kernel loads from here it verifies later: the agent trusts only the authority.
 *
 * GET and HEAD: /boot/start.ipxe, /boot/ipxe?mac=..., /boot/blob/HEX/NAME, /boot/base/FILE, /boot/ipxe-bin/FILE,
 * /healthz. The caller listens and closes.
 */
export function createBootServer(effects: BootServerEffects): FastifyInstance {
  const { config, log } = effects;
  const service = { address: config.controller.address, port: config.ports.http };
  const hashOf = createFileHasher();
  const bootingAt = new Map<string, string>();
  const told = new Map<string, number>();
  const mayHaveScript = makeRateLimiter(SCRIPTS_PER_MACHINE, SCRIPTS);
  const isNews = (what: string, now: Date): boolean => {
    const before = told.get(what);
    if (before !== undefined && now.getTime() - before < REPEAT_EVENT_MS) return false;
    remember(told, what, now.getTime());
    return true;
  };
  const server = fastify({
    exposeHeadRoutes: false,
    bodyLimit: 1024,
    requestTimeout: 15_000,
    connectionTimeout: STALLED_MS,
    keepAliveTimeout: 10_000,
    http: { maxHeaderSize: 8192, headersTimeout: 10_000 },
    // Downloads in progress end with the server: iPXE asks again.
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 128 },
    frameworkErrors: (_error, _request, reply) => {
      void (reply as FastifyReply).code(400).type("text/plain").send("bad URL\n");
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  server.server.maxConnections = MOST_CONNECTIONS;
  server.addHook("onRequest", async (request, reply) => {
    if ((request.raw.url ?? "").length > LONGEST_URL) {
      return reply.code(414).type("text/plain").send("URL too long\n");
    }
  });
  server.setNotFoundHandler((_request, reply) => notFound(reply));
  server.setErrorHandler((error, request, reply) => {
    const given =
      error instanceof Error && "statusCode" in error ? Number(error.statusCode) : errorMeaning(error).http;
    const status = given >= 400 && given < 600 ? given : 500;
    if (status >= 500)
      log.error(
        { url: request.url, from: sourceOf(request), error: errorSentence(error) },
        "boot request failed",
      );
    const text = status < 500 || error instanceof MusterError ? errorSentence(error) : "internal error";
    return reply.code(status).type("text/plain").send(`${text}\n`);
  });

  const artifactSent = (request: FastifyRequest, name: string): ((bytes: number) => void) => {
    const startedAt = new Date();
    return (bytes) => {
      effects.fleet.artifactServed(sourceOf(request), name, bytes, startedAt, new Date());
    };
  };

  server.route({
    method: ["GET", "HEAD"],
    url: "/healthz",
    handler: (_request, reply) => reply.type("text/plain").send("ok\n"),
  });

  server.route({
    method: ["GET", "HEAD"],
    url: "/boot/start.ipxe",
    handler: (_request, reply) => reply.type("text/plain").send(renderStartScript(service)),
  });

  server.route({
    method: ["GET", "HEAD"],
    url: "/boot/ipxe",
    schema: { querystring: machineQuery },
    handler: async (request, reply) => {
      const { query } = request;
      const mac = readMacAddress(query.mac);
      if (mac === undefined) return reply.code(400).type("text/plain").send("mac= is no MAC address\n");
      // A HEAD must not mint a token that nobody gets.
      if (request.method === "HEAD") return reply.type("text/plain").send();
      const address = sourceOf(request);
      const now = new Date();
      if (!mayHaveScript(address, now.getTime())) {
        return reply.code(429).type("text/plain").send("too many scripts for one machine; wait a second\n");
      }
      const machine = {
        mac,
        uuid: query.uuid,
        serial: query.serial,
        platform: query.platform,
        buildArchitecture: query.buildarch,
      };
      const { script, node } = await resolveBoot(effects, machine, address, now).catch(waitInstead(mac));
      noteScript(
        effects,
        { mac, address, node: node?.name, uuid: query.uuid, serial: query.serial },
        now,
      ).catch((error: unknown) => {
        log.error({ mac, error: errorSentence(error) }, "a boot script was not noted");
      });
      remember(bootingAt, address, node?.name ?? mac);
      if (script.do === "boot") log.info({ mac, node: node?.name, address }, "boot script served");
      else if (isNews(`${mac} ${script.what}`, now)) {
        effects.onEvent({
          severity: "warning",
          kind: "nothing-to-boot",
          ...(node === undefined ? {} : { node: node.name }),
          what: `${node === undefined ? "machine" : node.name} (${mac}) cannot boot: ${script.what}`,
          fix: script.fix,
        });
      }
      return reply.type("text/plain").header("cache-control", "no-store").send(renderIpxe(script, service));
    },
  });

  server.route({
    method: ["GET", "HEAD"],
    url: "/boot/blob/:hex/:name",
    schema: {
      params: Type.Object({
        hex: Type.String({ pattern: "^[0-9a-f]{64}$" }),
        name: Type.String({ pattern: "^[a-z0-9.-]{1,40}$" }),
      }),
    },
    handler: async (request, reply) => {
      const digest = digestOfHex(request.params.hex);
      // Root layers and overlays go to enrolled nodes only.
      if (!(await isBootBlob(effects, digest))) return notFound(reply);
      const path = await effects.blobs.verifiedPath(digest).catch((error: unknown) => {
        effects.onEvent(badBlobEvent(error, request.params.name, bootingAt.get(sourceOf(request))));
        throw error;
      });
      return serveFile(
        request,
        reply,
        { path, etag: request.params.hex },
        artifactSent(request, request.params.name),
      );
    },
  });

  server.route({
    method: ["GET", "HEAD"],
    url: "/boot/base/:file",
    schema: { params: Type.Object({ file: Type.String() }) },
    handler: async (request, reply) => {
      const file = BASE_ARCHIVES.find((one) => one === request.params.file);
      if (file === undefined) return notFound(reply);
      const path = join(config.paths.artifacts, file);
      if (!(await isReadable(path))) {
        throw new MusterError({
          code: "initramfs-build-failed",
          what: `the base initramfs ${path} is missing`,
          fix: "reinstall muster, or correct paths.artifacts in muster.yaml",
        });
      }
      return serveFile(request, reply, { path, etag: await hashOf(path) }, artifactSent(request, file));
    },
  });

  server.route({
    method: ["GET", "HEAD"],
    url: "/boot/ipxe-bin/:file",
    schema: { params: Type.Object({ file: Type.String() }) },
    handler: async (request, reply) => {
      const binaries = new Map<string, string>(await findIpxeBinaries(config.paths.ipxe));
      const path = binaries.get(request.params.file);
      return path === undefined
        ? notFound(reply)
        : serveFile(request, reply, { path, etag: await hashOf(path) });
    },
  });

  return server;
}

/**
 * A script begins a boot, unless its node is up: then somebody else asked. The machine gets its script meanwhile; what
 * it can do with it is decided when it enrols.
 */
async function noteScript(
  { fleet, isUp, onImpostor }: BootServerEffects,
  asked: {
    readonly mac: MacAddress;
    readonly address: string;
    readonly node: NodeName | undefined;
    readonly uuid: string;
    readonly serial: string;
  },
  at: Date,
): Promise<void> {
  const { mac, address, node, uuid: smbiosUuid, serial } = asked;
  if (node === undefined) {
    fleet.scriptServed({ mac, address }, at);
    return;
  }
  const answer = isUp(node);
  const early = await Promise.race([answer, setTimeout(ANSWERS_AT_ONCE_MS, undefined, { ref: false })]);
  if (early !== true) fleet.scriptServed({ mac, address, node }, at);
  if (!(await answer)) return;
  if (early !== true) fleet.scriptDisowned(node, new Date());
  onImpostor({
    node,
    address,
    mac,
    smbiosUuid,
    serial,
    presented: "its MAC address, asking for its boot script",
  });
}

/**
 * A script that says on the console why there is none, such as a full disk: of an HTTP status iPXE shows a number
 * of its own.
 */
function waitInstead(mac: MacAddress): (error: unknown) => Awaited<ReturnType<typeof resolveBoot>> {
  return (error) => {
    if (!(error instanceof MusterError)) throw error;
    const fix = error.fix ?? "look at the controller's log: journalctl -u musterd";
    return { script: planWait(mac, errorSentence(error), fix) };
  };
}

async function isBootBlob(effects: BootServerEffects, digest: Digest): Promise<boolean> {
  const images = await effects.inventory.listImages();
  return images.some((image) =>
    image.versions.some((version) => version.kernel.digest === digest || version.modules.digest === digest),
  );
}

function badBlobEvent(
  error: unknown,
  name: string,
  node: string | undefined,
): Omit<MusterEvent, "id" | "at"> {
  const isOurs = error instanceof MusterError;
  return {
    severity: "error",
    kind: isOurs ? error.code : "blob-unreadable",
    ...(node === undefined ? {} : { node }),
    what: `${node ?? "a machine"} was not given ${name}: ${errorSentence(error)}`,
    fix: (isOurs ? error.fix : undefined) ?? "import the image again: muster image import DIR --name NAME",
  };
}

/** The client's address; IPv4 over an IPv6 socket as plain IPv4. */
function sourceOf(request: FastifyRequest): string {
  return parseSourceAddress(request.socket.remoteAddress);
}

function notFound(reply: FastifyReply): FastifyReply {
  return reply.code(404).type("text/plain").send("not found\n");
}

/** The oldest go first: a Map keeps the order of insertion. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > MOST_REMEMBERED && oldest !== undefined) map.delete(oldest);
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
