import type { SshTarget } from "../../api/rest/ssh-routes.ts";

/** Options of muster, and of `muster ssh`, whose value is the next word. */
const OPTIONS_WITH_VALUE: ReadonlySet<string> = new Set([
  "-o",
  "--output",
  "--socket",
  "--controller",
  "--token",
  "--ca-fingerprint",
  "-l",
  "--user",
  "--fanout",
  "--timeout",
  "--ssh-option",
]);

/**
 * Puts "--" before the command of `muster ssh NODESET COMMAND...`, so that what follows is the node's: in
 * `muster ssh c001 df -h` the "-h" is of df. Other command lines are returned as they are.
 */
export function separateRemoteCommand(words: readonly string[]): readonly string[] {
  let positionals = 0;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word === "--") return words;
    if (OPTIONS_WITH_VALUE.has(word)) {
      at += 1;
      continue;
    }
    if (word.startsWith("-")) continue;
    positionals += 1;
    if (positionals === 1 && word !== "ssh") return words;
    if (positionals === 3) return [...words.slice(0, at), "--", ...words.slice(at)];
  }
  return words;
}

/** What is asked of every node. */
export interface SshRequest {
  /** Words of the command; none: a shell on the terminal. */
  readonly words: readonly string[];
  readonly user?: string;
  /** KEY=VALUE of ssh_config(5). */
  readonly sshOptions: readonly string[];
  readonly knownHostsPath: string;
}

/** Seconds for the connection alone; a node that is off does not answer at all. */
const CONNECT_SECONDS = 10;

/**
 * The arguments of ssh(1) for one node. Its name is looked up in the site's ssh_config, which may say how to get there
 * (user, key, jump host); its address and host keys come from the controller. ssh takes the first value it is given for
 * an option: what is decided here cannot be undone by `sshOptions` or by a configuration file.
 *
 * `logPath` gets what ssh itself has to say, apart from what the command writes to its standard error (ssh(1), -E).
 */
export function planSshArguments(
  target: Pick<SshTarget, "node"> & { readonly address: string },
  request: SshRequest,
  logPath: string | undefined,
): readonly string[] {
  const { words, user, sshOptions, knownHostsPath } = request;
  const isInteractive = logPath === undefined;
  const options = [
    `HostName=${target.address}`,
    `HostKeyAlias=${target.node}`,
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile="${knownHostsPath}"`,
    "GlobalKnownHostsFile=/dev/null",
    // Unknown to OpenSSH before 8.5.
    "IgnoreUnknown=KnownHostsCommand",
    "KnownHostsCommand=none",
    "VerifyHostKeyDNS=no",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    // A connection somebody else opened has proved nothing about the host to us, and would outlive its node.
    "ControlPath=none",
    "ControlMaster=no",
    `ConnectTimeout=${CONNECT_SECONDS}`,
    "ServerAliveInterval=15",
    ...(isInteractive ? [] : ["BatchMode=yes", "LogLevel=ERROR"]),
    ...sshOptions,
  ];
  return [
    ...(isInteractive ? [] : ["-n", "-T", "-E", logPath]),
    ...options.flatMap((option) => ["-o", option]),
    ...(user === undefined ? [] : ["-l", user]),
    "--",
    target.node,
    ...words,
  ];
}

/** known_hosts(5) (see sshd(8)) with the keys of these nodes, by name. */
export function renderKnownHosts(targets: readonly Pick<SshTarget, "node" | "hostKeys">[]): string {
  return targets.flatMap(({ node, hostKeys }) => hostKeys.map((key) => `${node} ${key}\n`)).join("");
}

/** Status with which ssh(1) exits when it failed itself; a command may also exit with it. */
export const SSH_FAILED = 255;

/**
 * Why ssh could not do it, from what it said: one line without the node's address, so that nodes with the same trouble
 * can be named together.
 */
export function explainSshFailure(log: string, address: string): string {
  if (/host key is known for|HOST IDENTIFICATION HAS CHANGED|Host key verification failed/i.test(log)) {
    return "ssh: its host key is not the one musterd made for it; something else may have its address";
  }
  const lines = log.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  const last = lines.at(-1) ?? "failed and did not say why";
  return `ssh: ${last
    .replace(/^ssh: /, "")
    .replace(/^connect to host \S+ port (\d+): /, "connect to port $1: ")
    .replace(/^\S+@\S+: /, "")
    .replaceAll(address, "the node")}`;
}
