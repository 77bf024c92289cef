import { chmod, chown, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";

import type { FastifyInstance } from "fastify";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

/** How long another musterd has to answer on the socket before it counts as gone. */
const PROBE_DEADLINE_MS = 2000;

/** The control socket in use. */
export interface ControlSocket {
  readonly path: string;
  /** Set when the group could not be given the socket: what is wrong and what to do. Only its owner can use it. */
  readonly warning?: string;
}

/**
 * Opens the control socket, mode 0660, for `group`. A socket left by a musterd that was killed is replaced; one
 * on which somebody answers is not (`port-in-use`), nor is a file that is no socket.
 */
export async function listenOnSocket(
  api: FastifyInstance,
  path: string,
  group: string,
): Promise<ControlSocket> {
  await removeStaleSocket(path);
  try {
    // bound with the umask's mode, which lets nobody but the owner write; opened to the group below
    await api.listen({ path });
  } catch (error) {
    throw new MusterError({
      code: "port-in-use",
      what: `cannot open the control socket ${path}: ${errorSentence(error)}`,
      fix: "see that its directory exists and that musterd may write to it",
      cause: error,
    });
  }
  await chmod(path, 0o600);
  const gid = await findGroup(group);
  if (gid === undefined) {
    return {
      path,
      warning: `there is no group ${group}: only root and musterd can use ${path} (groupadd ${group})`,
    };
  }
  try {
    await chown(path, -1, gid);
  } catch (error) {
    return { path, warning: `cannot give ${path} to group ${group}: ${errorSentence(error)}` };
  }
  await chmod(path, 0o660);
  return { path };
}

/** Listens for HTTP or HTTPS; `setting` is the one in muster.yaml that chose the port. Returns the port, which matters when 0 was asked for. `port-in-use` when it is taken. */
export async function listenOnAddress(
  api: FastifyInstance,
  host: string,
  port: number,
  setting: "ports.http" | "ports.api" = "ports.api",
): Promise<number> {
  try {
    await api.listen({ host, port });
  } catch (error) {
    throw new MusterError({
      code: "port-in-use",
      what: `cannot listen on ${host} port ${port}: ${errorSentence(error)}`,
      fix: `end what listens there (ss -ltnp), or choose another port for ${setting} in muster.yaml`,
      cause: error,
    });
  }
  const address = api.server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new MusterError({
      code: "port-in-use",
      what: `${path} is there and is no socket`,
      fix: "move it away, or set paths.runtime in muster.yaml",
    });
  }
  if (await somebodyAnswers(path)) {
    throw new MusterError({
      code: "port-in-use",
      what: `another musterd answers on ${path}`,
      fix: "stop it first: systemctl stop musterd",
    });
  }
  await unlink(path);
}

function somebodyAnswers(path: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  // a socket that takes connections without ever accepting them belongs to a live process as well
  socket.setTimeout(PROBE_DEADLINE_MS, () => {
    resolve(true);
  });
  socket.once("connect", () => {
    resolve(true);
  });
  socket.once("error", (error) => {
    if (isCode(error, "ECONNREFUSED") || isCode(error, "ENOENT")) resolve(false);
    else reject(error);
  });
  return promise.finally(() => socket.destroy());
}

/** The number of a group, from wherever the host keeps its groups (getent(1)). */
async function findGroup(name: string): Promise<number | undefined> {
  const { exitCode, stdout } = await runCommandUnchecked({
    program: "getent",
    args: ["group", name],
    deadlineMs: 10_000,
  });
  const gid = stdout.split(":")[2];
  return exitCode === 0 && gid !== undefined && /^\d+$/.test(gid) ? Number(gid) : undefined;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
