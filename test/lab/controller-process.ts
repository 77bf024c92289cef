import { mkdir, open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { Client } from "undici";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { CommandResult, Daemon } from "#proto/host/run-command.ts";

import { LAB_NETWORK, type Lab, mountSmallDisk, stopDaemon } from "./open-lab.ts";
import { waitFor } from "./wait-for.ts";

/** What a lab's controller is started with. */
export interface ControllerOptions {
  /** Where `npm run build` left musterd and muster. */
  readonly dist: string;
  /** The state directory on a disk of its own, this large, so that it can be filled. */
  readonly stateDiskMib?: number;
  /** Whole sections of muster.yaml besides those the lab writes (controller, network, dhcp, paths, blobs, boot). */
  readonly moreConfig?: string;
  /** More lines of the section boot. */
  readonly boot?: Readonly<Record<string, string>>;
  /** Appended to the kernel's command line of every node; the console is there already. */
  readonly kernelArguments?: readonly string[];
}

/** A musterd in a lab, as its administrator has it in hand. */
export interface ControllerProcess {
  readonly configPath: string;
  readonly stateDirectory: string;
  /** For MUSTER_SOCKET. */
  readonly socketPath: string;
  readonly isRunning: boolean;
  /** Everything musterd wrote since the lab was opened, over restarts. */
  readonly log: string;
  /** Starts musterd and waits until it answers. Fails with the end of its log when it does not come up. */
  start(): Promise<void>;
  /** SIGTERM, as systemd stops it; resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL to musterd itself; what it had started is left to its own devices. */
  kill9(): Promise<void>;
  restart(): Promise<void>;
  /** Runs `muster ARGS` on the controller's host, so that `muster ssh` gets to nodes; any exit status is a result. */
  muster(
    args: readonly string[],
    options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<CommandResult>;
  /** `muster ARGS` that has to work; returns its standard output. */
  mustMuster(args: readonly string[], options?: { readonly signal?: AbortSignal }): Promise<string>;
  /** GET over the control socket: "/api/v1/nodes". Any answer but 200 throws. */
  get<T>(path: string): Promise<T>;
}

const START_DEADLINE_MS = 30_000;
const COMMAND_DEADLINE_MS = 180_000;
const LOG_TAIL_LINES = 30;

/** Writes a muster.yaml for the lab, starts musterd with it inside the lab's network, and waits until it answers. */
export async function startController(lab: Lab, options: ControllerOptions): Promise<ControllerProcess> {
  const stateDirectory = join(lab.directory, "state");
  await mkdir(stateDirectory, { mode: 0o700 });
  if (options.stateDiskMib !== undefined) await mountSmallDisk(lab, stateDirectory, options.stateDiskMib);
  const runtime = join(lab.directory, "run");
  await mkdir(runtime);
  const configPath = join(lab.directory, "muster.yaml");
  await writeFile(configPath, renderConfig(stateDirectory, runtime, options));
  const controller = new LabController(lab, options.dist, {
    configPath,
    stateDirectory,
    socketPath: join(runtime, "control.sock"),
  });
  await controller.start();
  return controller;
}

function renderConfig(state: string, runtime: string, options: ControllerOptions): string {
  // The console of every node is its serial line, and what the kernel says below warnings costs time there.
  const kernelArguments = ["console=ttyS0", "loglevel=5", ...(options.kernelArguments ?? [])];
  const boot = Object.entries(options.boot ?? {}).map(([key, value]) => `  ${key}: ${value}\n`);
  return `controller:
  address: ${LAB_NETWORK.address}
network:
  subnet: ${LAB_NETWORK.subnet}
dhcp:
  range: ${LAB_NETWORK.rangeStart}-${LAB_NETWORK.rangeEnd}
paths:
  state: ${state}
  runtime: ${runtime}
  hooks: ${join(runtime, "..", "hooks.d")}
boot:
  kernelArguments: ${JSON.stringify(kernelArguments)}
${boot.join("")}blobs:
  workers: 1
${options.moreConfig ?? ""}`;
}

class LabController implements ControllerProcess {
  readonly configPath: string;
  readonly stateDirectory: string;
  readonly socketPath: string;
  readonly #lab: Lab;
  readonly #dist: string;
  readonly #lines: string[] = [];
  #daemon: Daemon | undefined;

  constructor(
    lab: Lab,
    dist: string,
    paths: Pick<ControllerProcess, "configPath" | "stateDirectory" | "socketPath">,
  ) {
    this.#lab = lab;
    this.#dist = dist;
    this.configPath = paths.configPath;
    this.stateDirectory = paths.stateDirectory;
    this.socketPath = paths.socketPath;
  }

  get isRunning(): boolean {
    return this.#daemon !== undefined;
  }

  get log(): string {
    return this.#lines.join("\n");
  }

  async start(): Promise<void> {
    if (this.#daemon !== undefined) throw new Error("musterd runs already");
    const daemon = await this.#lab.start({
      program: join(this.#dist, "musterd"),
      args: ["--config", this.configPath],
      onLine: (line) => {
        this.#lines.push(line);
      },
    });
    this.#daemon = daemon;
    void daemon.exited.then(({ code, signal }) => {
      this.#lines.push(`[musterd ended: ${signal ?? `exit status ${code ?? "unknown"}`}]`);
      if (this.#daemon === daemon) this.#daemon = undefined;
    });
    await waitFor(() => this.#answers(), {
      what: "musterd to answer on its control socket",
      deadlineMs: START_DEADLINE_MS,
      instead: () => this.#tail(),
    });
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    await stopDaemon(daemon);
    this.#daemon = undefined;
  }

  async kill9(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) throw new Error("musterd does not run");
    daemon.kill("SIGKILL");
    await daemon.exited;
    this.#daemon = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  muster(
    args: readonly string[],
    options: { readonly deadlineMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<CommandResult> {
    return this.#lab.run(
      {
        program: join(this.#dist, "muster"),
        args,
        env: { ...plainEnvironment(), MUSTER_SOCKET: this.socketPath },
        deadlineMs: options.deadlineMs ?? COMMAND_DEADLINE_MS,
      },
      options.signal,
    );
  }

  async mustMuster(
    args: readonly string[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<string> {
    const { exitCode, stdout, stderr } = await this.muster(args, options);
    if (exitCode === 0) return stdout;
    throw new MusterError({
      code: "command-failed",
      what: `muster ${args.join(" ")} exited with ${exitCode}:\n${stderr.trim()}\nmusterd says:\n${this.#tail()}`,
    });
  }

  async get<T>(path: string): Promise<T> {
    const client = new Client("http://musterd", { socketPath: this.socketPath });
    try {
      const { statusCode, body } = await client.request({ method: "GET", path });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`GET ${path} was answered with ${statusCode}: ${text}`);
      return JSON.parse(text) as T;
    } finally {
      await client.close();
    }
  }

  async #answers(): Promise<boolean> {
    if (this.#daemon === undefined) {
      throw new MusterError({
        code: "command-failed",
        what: `musterd ended instead of starting:\n${this.#tail()}`,
      });
    }
    return this.get("/api/v1/status").then(
      () => true,
      () => false,
    );
  }

  #tail(): string {
    return this.#lines.slice(-LOG_TAIL_LINES).join("\n");
  }
}

/** This process's environment without what would point the muster command at another controller. */
function plainEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || name.startsWith("MUSTER_") ? [] : [[name, value]],
  );
  return Object.fromEntries(entries) as Record<string, string>;
}

/** Where the blob store keeps a blob. `digest` is "sha256:HEX" or the hex alone. */
async function findBlobFile(controller: ControllerProcess, digest: string): Promise<string> {
  const hex = digest.replace(/^sha256:/, "");
  const store = join(controller.stateDirectory, "blobs");
  const files = await readdir(store, { recursive: true, withFileTypes: true });
  const file = files.find((entry) => entry.isFile() && entry.name === hex);
  if (file === undefined) throw new Error(`the blob store has no file named ${hex}`);
  return join(file.parentPath, file.name);
}

/** Flips one bit in the middle of a stored blob, as a disk or its memory would: size and times stay. */
export async function corruptBlob(controller: ControllerProcess, digest: string): Promise<void> {
  const path = await findBlobFile(controller, digest);
  const file = await open(path, "r+");
  try {
    const { size, atime, mtime } = await file.stat();
    const byte = Buffer.alloc(1);
    const middle = Math.floor(size / 2);
    await file.read(byte, 0, 1, middle);
    byte.writeUInt8(byte.readUInt8() ^ 1);
    await file.write(byte, 0, 1, middle);
    await file.utimes(atime, mtime);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Fills the file system of a directory to its last byte; what it returns frees it again. */
export async function fillDisk(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, "filler");
  const file = await open(path, "w");
  try {
    // The last write that fits may be a short one, and the next fails: halve until not a byte goes in.
    for (let size = 1024 * 1024; size >= 1; ) {
      const fits = await file.write(Buffer.alloc(size)).then(
        ({ bytesWritten }) => bytesWritten === size,
        (error: unknown) => {
          if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
          throw error;
        },
      );
      if (!fits) size = Math.floor(size / 2);
    }
  } finally {
    await file.close();
  }
  return () => rm(path);
}
