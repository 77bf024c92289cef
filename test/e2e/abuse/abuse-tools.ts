import type { Socket } from "node:net";

/** What the abuser is told, as JSON in its first argument. Runs inside the lab's network. */
export interface AbuseTask {
  readonly address: string;
  readonly socketPath: string;
  /** The same seed gives the same requests. */
  readonly seed: number;
  readonly httpRequests: number;
  readonly restRequests: number;
  readonly grpcCalls: number;
  /** Addresses of this host to call from: enrolment limits each. The first is that of the node. */
  readonly sources: readonly string[];
  readonly nodeMac: string;
  readonly authorityPem: string;
  readonly badCertificates: Readonly<Record<string, { readonly cert: string; readonly key: string }>>;
  /** Files nobody may be given, by absolute path, and text that stands in what nobody may be given. */
  readonly hiddenFiles: readonly string[];
  readonly secrets: readonly string[];
}

/** What came of it. */
export interface AbuseReport {
  /** How often which answer was given: "400", "reset", "grpc 3". */
  readonly answers: Readonly<Record<"http" | "rest" | "grpc" | "frames", Readonly<Record<string, number>>>>;
  /** The request before each answer that held a secret. */
  readonly leaks: readonly string[];
  /** Port and certificate, and what a call with it was answered with. */
  readonly tls: Readonly<Record<string, string>>;
  /** What the second use of a token was answered with, by who used it. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly seconds: Readonly<Record<string, number>>;
}

export const PORTS = { http: 9880, enrolment: 9881, agents: 9882, blobs: 9883 } as const;

const KEEP_BYTES = 256 * 1024;
const ANSWER_DEADLINE_MS = 1500;

/** Mulberry32 (public domain, Tommy Ettinger): small, seeded, good enough to be hostile with. */
export function makeRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
export type Random = ReturnType<typeof makeRandom>;

export function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[random(from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

export function noise(random: Random, atMost: number): Buffer {
  return Buffer.from(Array.from({ length: random(atMost + 1) }, () => random(256)));
}

/** One connection: writes, reads what comes, up to an end, an error, enough bytes or enough time. */
export function exchange(socket: Socket, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let size = 0;
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(parts));
    };
    const timer = setTimeout(finish, ANSWER_DEADLINE_MS);
    socket.on("data", (part: Buffer) => {
      parts.push(part);
      size += part.length;
      if (size > KEEP_BYTES) finish();
    });
    socket.on("error", finish);
    socket.on("close", finish);
    socket.write(bytes);
  });
}

export async function inTurn<T>(
  all: readonly T[],
  atOnce: number,
  each: (one: T) => Promise<void>,
): Promise<void> {
  const rest = all.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const one of rest) await each(one);
    }),
  );
}

/** Counts answers and looks for secrets in them. */
export class Tally {
  readonly answers: Record<string, number> = {};
  readonly #task: AbuseTask;
  readonly #leaks: string[];

  constructor(task: AbuseTask, leaks: string[]) {
    this.#task = task;
    this.#leaks = leaks;
  }

  count(answer: string): void {
    this.answers[answer] = (this.answers[answer] ?? 0) + 1;
  }

  look(request: string, answer: Buffer): void {
    const text = answer.toString("latin1");
    for (const secret of this.#task.secrets) {
      if (text.includes(secret)) this.#leaks.push(`${secret} after ${request.slice(0, 300)}`);
    }
  }

  http(request: Buffer, answer: Buffer): void {
    this.look(request.toString("latin1"), answer);
    this.count(/^HTTP\/1\.1 (\d{3})/.exec(answer.toString("latin1", 0, 16))?.[1] ?? "closed");
  }
}
