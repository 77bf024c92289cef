import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import {
  type CommandResult,
  type Daemon,
  runCommand,
  runCommandUnchecked,
  startDaemon,
} from "#proto/host/run-command.ts";

import { openTestSite, type TestSite } from "../../controller/api/rest/api-test-site.ts";
import { createApi } from "../../controller/api/rest/create-api.ts";
import { listenOnSocket } from "../../controller/api/rest/listen.ts";
import type { CliProcess } from "../../controller/cli/cli-context.ts";
import { runCli } from "../../controller/cli/run-cli.ts";
import { findHostKeys } from "../../controller/overlays/build-system-overlay.ts";
import { renderOpensshKey } from "../../controller/overlays/render-openssh-key.ts";
import { waitFor } from "../lab/wait-for.ts";

/**
 * One sshd on loopback is three nodes: c001 and c002 with its host key, made by the controller as for every node, and
 * c003, whose host key is another. c004 is an address where nobody answers. Addresses of loopback are none that a node may be
 * given: these nodes were seen at them.
 */
const NODES = ["c001", "c002", "c003", "c004"] as const;
const PRIVILEGE_DIRECTORY = "/run/sshd";

let directory: string;
let site: TestSite;
let api: FastifyInstance;
let sshd: Daemon;
let port: number;
let madePrivilegeDirectory = false;
const sshdLog: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-ssh-test-"));
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
  await listenOnSocket(api, join(site.directory, "control.sock"), "root");
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  await site.deps.inventory.addNodes(
    NODES.map((name) => ({ name: parseNodeName(name), fields })),
    { user: "test" },
  );
  for (const [index, name] of NODES.entries()) {
    const state = index < 2 ? "ready" : "new";
    site.statuses.set(name, { node: parseNodeName(name), state, address: `127.0.0.1${index}` });
  }
  await shareHostKey("c001", "c002");
  port = await freePort();
  await startSshd();
}, 30_000);

afterAll(async () => {
  sshd.kill("SIGTERM");
  await sshd.exited;
  const pids = await readFile(join(directory, "pids"), "utf8").catch(() => "");
  for (const pid of pids.split("\n").filter((line) => line !== "")) process.kill(Number(pid), "SIGKILL");
  await api.close();
  await site[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
  if (madePrivilegeDirectory) await rm(PRIVILEGE_DIRECTORY, { recursive: true });
});

/** The second node has the keys of the first: as it happens, both are one sshd. */
async function shareHostKey(first: string, second: string): Promise<void> {
  const { inventory } = site.deps;
  const { ed25519, ecdsa } = await findHostKeys(inventory, parseNodeName(first));
  for (const [name, key] of [
    ["ssh-host-ed25519", ed25519],
    ["ssh-host-ecdsa", ecdsa],
  ] as const) {
    await inventory.findOrCreateSecret(parseNodeName(second), name, async () =>
      key.export({ format: "der", type: "pkcs8" }),
    );
  }
}

async function startSshd(): Promise<void> {
  const { ed25519 } = await findHostKeys(site.deps.inventory, parseNodeName("c001"));
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const hostKey = await write("host_key", renderOpensshKey(ed25519, "c001").privateKey);
  const { privateKey } = generateKeyPairSync("ed25519");
  const user = renderOpensshKey(
    createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" })),
    "test",
  );
  await write("user_key", user.privateKey);
  const authorized = await write("authorized_keys", user.publicKey);
  const config = await write(
    "sshd_config",
    [
      `Port ${port}`,
      ...NODES.slice(0, 3).map((_, index) => `ListenAddress 127.0.0.1${index}`),
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorized}`,
      // The directory of this test is below /tmp, which everybody may write to.
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PidFile none",
      "PermitRootLogin yes",
      "",
    ].join("\n"),
  );
  if (process.getuid?.() === 0 && !(await stat(PRIVILEGE_DIRECTORY).catch(() => undefined))) {
    // sshd(8) wants it when root starts it; a service manager would have made it.
    await mkdir(PRIVILEGE_DIRECTORY, { mode: 0o755 });
    madePrivilegeDirectory = true;
  }
  sshd = await startDaemon({
    // sshd starts itself anew for each connection, and so wants its whole path.
    program: "/usr/sbin/sshd",
    args: ["-D", "-e", "-f", config],
    onLine: (line) => void sshdLog.push(line),
  });
  await waitFor(() => sshdLog.some((line) => line.includes("listening on 127.0.0.12")), {
    what: "sshd to listen",
    deadlineMs: 10_000,
    instead: () => sshdLog.join("\n"),
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

/** A command that says it has begun, and that a closed connection does not end: sshd leaves it alone, and we kill it. */
function startLingering(): string {
  return `echo begun; echo $$ >> ${join(directory, "pids")}; exec sleep 600`;
}

interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

function login(): readonly string[] {
  return [
    ...["--ssh-option", `Port=${port}`, "--ssh-option", `IdentityFile=${join(directory, "user_key")}`],
    ...["--ssh-option", "IdentitiesOnly=yes", "-l", userInfo().username],
  ];
}

async function muster(words: readonly string[], more: Partial<CliProcess> = {}): Promise<Ran> {
  const shown = { out: "", err: "" };
  const exit = await runCli({
    args: ["ssh", ...login(), ...words],
    env: { MUSTER_SOCKET: join(site.directory, "control.sock") },
    out: (text) => {
      shown.out += text;
    },
    err: (text) => {
      shown.err += text;
    },
    outIsTerminal: false,
    errIsTerminal: false,
    now: () => new Date(),
    ask: async () => undefined,
    wait: async () => undefined,
    signal: new AbortController().signal,
    userId: 0,
    initramfsCommand: ["false"],
    artifacts: "/nonexistent",
    ...more,
  });
  return { exit, ...shown };
}

test("lines of all nodes have the node's name before them, on the stream they were written to", async () => {
  const { exit, out, err } = await muster(["c[001-002]", "echo one; echo two; echo trouble >&2"]);
  expect({ exit, out: out.split("\n").toSorted(), err: err.split("\n").toSorted() }).toEqual({
    exit: 0,
    out: ["", "c001: one", "c001: two", "c002: one", "c002: two"],
    err: ["", "c001: trouble", "c002: trouble"],
  });
});

test("folded, what nodes wrote alike is shown once", async () => {
  expect(await muster(["-b", "c[001-002]", "echo", "alike"])).toEqual({
    exit: 0,
    out: "---------------\nc[001-002] (2)\n---------------\nalike\n",
    err: "",
  });
});

test("a host key other than the one musterd made is refused, whatever the options say", async () => {
  const options = [
    "--ssh-option",
    "StrictHostKeyChecking=no",
    "--ssh-option",
    "UserKnownHostsFile=/dev/null",
  ];
  expect(await muster([...options, "c003", "echo", "got", "in"])).toEqual({
    exit: 255,
    out: "",
    err: "c003: new, tried all the same\nc003: ssh: its host key is not the one musterd made for it; something else may have its address\n",
  });
});

test("the exit status is the largest, and each other than 0 is told by node", async () => {
  // By the address it came to: 127.0.0.10 is c001.
  const { exit, err } = await muster(["c[001-002]", "set -- $SSH_CONNECTION; exit $(( ${3##*.} - 8 ))"]);
  expect({ exit, err }).toEqual({ exit: 3, err: "c001: exited with 2\nc002: exited with 3\n" });
  expect(await muster(["c001", "exit", "255"])).toEqual({
    exit: 255,
    out: "",
    err: "c001: exited with 255\n",
  });
});

test("nodes that do not answer are named together, and the others are served", async () => {
  const { exit, out, err } = await muster(["c[001,004]", "echo", "here"]);
  expect({ exit, out, err }).toEqual({
    exit: 255,
    out: "c001: here\n",
    err: `c004: new, tried all the same\nc004: ssh: connect to port ${port}: Connection refused\n`,
  });
});

test("nodes that are not done in time are let go", async () => {
  const lingering = startLingering();
  expect(await muster(["--timeout", "5", "-b", "c[001-002]", lingering])).toEqual({
    exit: 255,
    out: "---------------\nc[001-002] (2)\n---------------\nbegun\n",
    err: "c[001-002]: not done within 5 s: its connection was closed\n",
  });
});

test("Ctrl-C ends every connection, and what came until then is shown", async () => {
  const lingering = startLingering();
  const stop = new AbortController();
  let lines = 0;
  const { exit, err } = await muster(["c[001-002]", lingering], {
    signal: stop.signal,
    out: () => {
      lines += 1;
      if (lines === 2) stop.abort();
    },
  });
  expect({ exit, err }).toEqual({ exit: 130, err: "c[001-002]: interrupted\n" });
  const { stdout } = await runCommand({ program: "ps", args: ["-eo", "args"] });
  expect(stdout.split("\n").filter((line) => line.startsWith("ssh ") && line.includes(directory))).toEqual(
    [],
  );
});

test("JSON has each node's output whole", async () => {
  const { exit, out } = await muster(["-o", "json", "c001", "printf 'a\\nb'; echo e >&2; exit 4"]);
  expect({ exit, out: JSON.parse(out) as unknown }).toEqual({
    exit: 4,
    out: [{ node: "c001", stdout: "a\nb\n", stderr: "e\n", exitCode: 4 }],
  });
});

test("no more nodes are tried at a time than --fanout says", async () => {
  const marks = join(directory, "marks");
  await muster(["--fanout", "1", "c[001-002]", `echo in >> ${marks}; sleep 0.2; echo out >> ${marks}`]);
  expect(await readFile(marks, "utf8")).toBe("in\nout\nin\nout\n");
});

test("without a command it is a shell on the terminal, with the same host keys", async () => {
  // script(1) of util-linux is the terminal.
  const program = join(import.meta.dirname, "../../controller/cli/main.ts");
  const words = [
    process.execPath,
    "--no-warnings",
    program,
    "--socket",
    join(site.directory, "control.sock"),
    "ssh",
  ];
  const shellOn = (node: string): Promise<CommandResult> =>
    runCommandUnchecked({
      program: "script",
      args: ["-q", "-e", "-c", [...words, ...login(), node].join(" "), "/dev/null"],
      input: 'test -t 0 && echo "on a $((40 + 2))"\nexit 3\n',
      deadlineMs: 15_000,
    });
  const { exitCode, stdout } = await shellOn("c001");
  expect({ exitCode, said: stdout.includes("on a 42") }).toEqual({ exitCode: 3, said: true });
  const refused = await shellOn("c003");
  expect({
    exitCode: refused.exitCode,
    said: refused.stdout.includes("Host key verification failed."),
  }).toEqual({
    exitCode: 255,
    said: true,
  });
}, 40_000);

test("without ssh on the host the package that has it is named", async () => {
  vi.stubEnv("PATH", directory);
  try {
    expect(await muster(["c[001-002]", "true"])).toEqual({
      exit: 3,
      out: "",
      err: `muster: ssh is not installed on this host
  fix: install it: apt-get install openssh-client (Debian, Ubuntu), dnf install openssh-clients (Enterprise Linux)
`,
    });
  } finally {
    vi.unstubAllEnvs();
  }
});

test("without a command several nodes, and no terminal, are refused", async () => {
  expect(await muster(["c[001-002]"])).toEqual({
    exit: 2,
    out: "",
    err: "muster: a shell is on one node; these are 2\n  fix: name one node, or give the command to run on all of them\n",
  });
  expect(await muster(["c001"])).toEqual({
    exit: 2,
    out: "",
    err: "muster: without a command this opens a shell, which needs a terminal\n  fix: give a command: muster ssh c001 uptime\n",
  });
});
