import type { Server, Socket } from "node:net";

import { parseSourceAddress } from "../identity/parse-source-address.ts";
import { makeRateLimiter, type RateLimit } from "./grpc/limit-rate.ts";

/** How many connections a port takes, before anything is known of who makes them. */
export interface ConnectionLimits {
  /** Open at the same time. */
  readonly perAddress: number;
  readonly overall: number;
  /** New ones. */
  readonly newPerAddress: RateLimit;
  readonly newOverall: RateLimit;
  /** A connection on which no call was made by then is closed: it covers TLS and HTTP/2. Absent: the server sees to it. */
  readonly firstCallMs?: number;
}

/** An address that was refused a connection, and on which port. */
export interface LimitedAddress {
  readonly address: string;
  readonly port: number;
}

/** Lets connections in, or not. Connections are named as gRPC names peers: "address:port". */
export interface Admission extends Disposable {
  /** Puts the limits before a server's own handling of its connections. Refusing costs no TLS and no memory. */
  guard(server: Server): void;
  /** As {@link Admission.guard} for a server that is handed its connections. */
  admit(socket: Socket): boolean;
  /** A call was made on the connection: it is in use. */
  called(peer: string): void;
  /** Ends the connection now. */
  cut(peer: string): void;
}

const PER_ADDRESS_SECONDS = 10;
/** 10,000 nodes whose controller returns open a session each, over a minute; a full row may power on at once. */
const OVERALL = 24_000;
/** A handshake with client certificate costs 0.4 ms, a refusal 0.02 ms (test/bench/admission.ts): a third of one core if all are used. */
const NEW_OVERALL: RateLimit = { perSecond: 800, burst: 5000 };
const FIRST_CALL_MS = 20_000;
/** One line per address and port in this time. */
const REPEAT_MS = 60_000;
const MAX_REMEMBERED = 10_000;

/**
 * The limits of a gRPC port, for `perAddress` connections from one address: so many at once, and after that a tenth
 * of them per second. `share` of the port is this process's (blob workers share one port).
 */
export function planConnectionLimits(perAddress: number, share = 1): Required<ConnectionLimits> {
  const part = (whole: number): number => Math.max(1, Math.ceil(whole / share));
  return {
    // Connections are dealt out in turn, so each worker sees its part of an address's.
    perAddress: part(perAddress),
    overall: part(OVERALL),
    newPerAddress: { perSecond: part(perAddress / PER_ADDRESS_SECONDS), burst: part(perAddress) },
    newOverall: { perSecond: part(NEW_OVERALL.perSecond), burst: part(NEW_OVERALL.burst) },
    firstCallMs: FIRST_CALL_MS,
  };
}

/**
 * Counts connections, per address and in all. What is refused is reset: the client sees it at once, and nothing of
 * it stays on this host. What one address is refused is not charged to the others. `onLimited` is told once a minute
 * per address and port.
 */
export function openAdmission(
  limits: ConnectionLimits,
  nowMs: () => number,
  onLimited: (limited: LimitedAddress) => void,
): Admission {
  const mayConnect = makeRateLimiter(limits.newPerAddress, limits.newOverall);
  const counts = new Map<string, number>();
  const open = new Map<string, { readonly socket: Socket; timer: NodeJS.Timeout | undefined }>();
  const told = new Map<string, number>();
  const tell = (limited: LimitedAddress): void => {
    const before = told.get(limited.address);
    if (before !== undefined && nowMs() - before < REPEAT_MS) return;
    if (told.size >= MAX_REMEMBERED) told.clear();
    told.set(limited.address, nowMs());
    onLimited(limited);
  };

  const admit = (socket: Socket): boolean => {
    const { remoteAddress, remotePort, localPort } = socket;
    // Gone already.
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return false;
    }
    const address = parseSourceAddress(remoteAddress);
    const count = counts.get(address) ?? 0;
    if (count >= limits.perAddress || open.size >= limits.overall || !mayConnect(address, nowMs())) {
      // An error of a socket that nobody looks at would end the process.
      socket.on("error", () => undefined);
      socket.resetAndDestroy();
      tell({ address, port: localPort ?? 0 });
      return false;
    }
    counts.set(address, count + 1);
    const peer = `${remoteAddress}:${remotePort}`;
    const timer =
      limits.firstCallMs === undefined
        ? undefined
        : setTimeout(() => socket.resetAndDestroy(), limits.firstCallMs).unref();
    open.set(peer, { socket, timer });
    socket.once("close", () => {
      clearTimeout(timer);
      if (open.get(peer)?.socket === socket) open.delete(peer);
      const left = (counts.get(address) ?? 1) - 1;
      if (left > 0) counts.set(address, left);
      else counts.delete(address);
    });
    return true;
  };

  return {
    admit,
    guard: (server) => {
      const own = server.listeners("connection");
      server.removeAllListeners("connection");
      server.on("connection", (socket: Socket) => {
        if (!admit(socket)) return;
        for (const listener of own) Reflect.apply(listener, server, [socket]);
      });
    },
    called: (peer) => {
      const connection = open.get(peer);
      if (connection?.timer === undefined) return;
      clearTimeout(connection.timer);
      connection.timer = undefined;
    },
    cut: (peer) => {
      open.get(peer)?.socket.resetAndDestroy();
    },
    [Symbol.dispose]: () => {
      for (const { timer } of open.values()) clearTimeout(timer);
    },
  };
}
