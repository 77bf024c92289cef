import { copyFile, readFile, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { Daemon, DaemonCommand } from "#proto/host/run-command.ts";

import { findQemuHost } from "./find-qemu-host.ts";
import { type MachinePlaces, type MachineSpec, planQemuArguments } from "./plan-qemu-arguments.ts";
import { waitFor } from "./wait-for.ts";

export type { MachineSpec } from "./plan-qemu-arguments.ts";

/** A machine plugged into the lab's bridge. Made switched off. */
export interface VirtualMachine {
  readonly spec: MachineSpec;
  /** The file of the current (or last) power-on's serial console. */
  readonly consoleLog: string;
  readonly isRunning: boolean;
  /** Starts QEMU; resolves when it runs. An error when it runs already. */
  powerOn(): Promise<void>;
  /** Pulls the plug; resolves when QEMU is gone. Nothing to do when it is off. */
  powerOff(): Promise<void>;
  /** Everything on the console since the last power-on, without escape sequences. */
  readConsole(): Promise<string>;
  /**
   * Waits until the console shows `text`, and returns the match. Fails with the tail of the console when time
   * is up or QEMU ends first.
   */
  waitForConsole(
    text: string | RegExp,
    options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<RegExpExecArray>;
  /** Types on the console; ends with a carriage return where a line is meant. */
  type(text: string): Promise<void>;
  /** Resolves when the machine is off, by whatever reason. */
  waitForPowerOff(deadlineMs: number): Promise<void>;
  /** Frames stop; the guest's card keeps its carrier, as behind a switch that died. */
  cutLink(): Promise<void>;
  restoreLink(): Promise<void>;
  /** The card of a machine that is on loses its carrier, as without a cable. Holds until the power is off. */
  unplugCable(): Promise<void>;
  /** Another network card: the machine must be off. */
  setMac(mac: string): void;
}

/** What a machine needs of its lab. */
export interface MachineSite {
  readonly directory: string;
  readonly bridge: string;
  start(command: DaemonCommand): Promise<Daemon>;
  runIp(lines: readonly string[]): Promise<void>;
}

const CONSOLE_TAIL_LINES = 30;

/** Makes a machine with its tap. `index` is its number in the lab. */
export async function createMachine(
  spec: MachineSpec,
  index: number,
  site: MachineSite,
): Promise<VirtualMachine> {
  const tap = `tap${index}`;
  await site.runIp([
    `tuntap add dev ${tap} mode tap`,
    `link set ${tap} master ${site.bridge}`,
    `link set ${tap} up`,
  ]);
  return new QemuMachine(spec, tap, site);
}

class QemuMachine implements VirtualMachine {
  spec: MachineSpec;
  readonly #tap: string;
  readonly #site: MachineSite;
  #process: Daemon | undefined;
  #powerOns = 0;
  /** What QEMU itself says: why it did not start. */
  #complaints: string[] = [];

  constructor(spec: MachineSpec, tap: string, site: MachineSite) {
    this.spec = spec;
    this.#tap = tap;
    this.#site = site;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get consoleLog(): string {
    return join(this.#site.directory, `${this.spec.name}-console-${this.#powerOns}.log`);
  }

  get #places(): MachinePlaces {
    return {
      tap: this.#tap,
      consoleLog: this.consoleLog,
      consoleSocket: join(this.#site.directory, `${this.spec.name}.sock`),
      controlSocket: join(this.#site.directory, `${this.spec.name}.qmp`),
      ovmfVars: join(this.#site.directory, `${this.spec.name}-vars.fd`),
      initrd: join(this.#site.directory, `${this.spec.name}-initrd`),
    };
  }

  async powerOn(): Promise<void> {
    if (this.#process !== undefined) throw new Error(`machine ${this.spec.name} runs already`);
    const host = await findQemuHost();
    this.#powerOns += 1;
    this.#complaints = [];
    const complaints = this.#complaints;
    if (this.spec.firmware.startsWith("uefi")) await copyFile(host.ovmfVars, this.#places.ovmfVars);
    if (this.spec.initrds !== undefined) await joinArchives(this.spec.initrds, this.#places.initrd);
    const qemu = await this.#site.start({
      program: host.qemu,
      args: planQemuArguments(this.spec, host, this.#places),
      onLine: (line) => {
        complaints.push(line);
      },
    });
    this.#process = qemu;
    void qemu.exited.then(() => {
      if (this.#process === qemu) this.#process = undefined;
    });
  }

  async powerOff(): Promise<void> {
    const qemu = this.#process;
    if (qemu === undefined) return;
    qemu.kill("SIGKILL");
    await qemu.exited;
    this.#process = undefined;
  }

  async readConsole(): Promise<string> {
    const raw = await readFile(this.consoleLog, "utf8").catch(() => "");
    return stripTerminalCodes(raw);
  }

  async waitForConsole(
    text: string | RegExp,
    options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<RegExpExecArray> {
    const pattern =
      typeof text === "string" ? new RegExp(text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")) : text;
    return waitFor(
      async () => {
        // Looked at before the console is read: what was said last still counts.
        const ended = !this.isRunning;
        const match = pattern.exec(await this.readConsole());
        if (match === null && ended) throw await this.#endedEarly(text);
        return match ?? undefined;
      },
      {
        what: `${this.spec.name} to show ${text.toString()} on its console`,
        deadlineMs: options.deadlineMs,
        instead: () => this.#tail(),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
    );
  }

  async type(text: string): Promise<void> {
    const socket = connect(this.#places.consoleSocket);
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.once("close", () => {
        resolve();
      });
      // What the guest prints meanwhile is in the log as well; unread, it would hold up the guest.
      socket.resume();
      socket.end(text);
    });
  }

  async waitForPowerOff(deadlineMs: number): Promise<void> {
    await waitFor(() => !this.isRunning, {
      what: `${this.spec.name} to power off`,
      deadlineMs,
      instead: () => this.#tail(),
    });
  }

  async cutLink(): Promise<void> {
    await this.#site.runIp([`link set ${this.#tap} down`]);
  }

  async restoreLink(): Promise<void> {
    await this.#site.runIp([`link set ${this.#tap} up`]);
  }

  async unplugCable(): Promise<void> {
    // QEMU makes the socket a moment after it was started.
    const socket = await waitFor(() => connectIfThere(this.#places.controlSocket), {
      what: `${this.spec.name} to open its control socket`,
      deadlineMs: 10_000,
      intervalMs: 20,
      instead: () => this.#tail(),
    });
    const said: string[] = [];
    socket.setEncoding("utf8").on("data", (text: string) => said.push(text));
    // A session starts with the capabilities (QEMU, docs/interop/qmp-spec), then one command and its answer.
    socket.write('{"execute":"qmp_capabilities"}{"execute":"set_link","arguments":{"name":"n0","up":false}}');
    try {
      await waitFor(() => said.join("").match(/"return"/g)?.length === 2, {
        what: `${this.spec.name} to lose its cable`,
        deadlineMs: 10_000,
        intervalMs: 20,
        instead: () => said.join(""),
      });
    } finally {
      socket.destroy();
    }
  }

  setMac(mac: string): void {
    if (this.isRunning) throw new Error(`machine ${this.spec.name} is on: power it off to change its card`);
    this.spec = { ...this.spec, mac };
  }

  async #tail(): Promise<string> {
    const lines = (await this.readConsole()).trimEnd().split("\n").slice(-CONSOLE_TAIL_LINES);
    return [...lines, ...this.#complaints.map((line) => `qemu: ${line}`)].join("\n");
  }

  async #endedEarly(text: string | RegExp): Promise<MusterError> {
    return new MusterError({
      code: "command-failed",
      what: `${this.spec.name} went off before it showed ${text.toString()}:\n${await this.#tail()}`,
    });
  }
}

function connectIfThere(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      resolve(socket);
    });
    socket.once("error", () => {
      resolve(undefined);
    });
  });
}

/** Archives behind one another, each from a multiple of four bytes on, as the kernel looks for them. */
async function joinArchives(paths: readonly string[], joined: string): Promise<void> {
  const archives = await Promise.all(paths.map((path) => readFile(path)));
  const padded = archives.flatMap((bytes) => [bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  await writeFile(joined, Buffer.concat(padded));
}

/** Console text as a person would see it scroll by: no escape sequences, one kind of line end. */
function stripTerminalCodes(raw: string): string {
  return (
    raw
      // CSI sequences (ECMA-48 section 5.4), then the two-byte ones.
      .replaceAll(/\u001b(?:\[[0-?]*[ -/]*[@-~]|[@-_c])/g, "")
      .replaceAll(/\r+\n/g, "\n")
      .replaceAll("\r", "\n")
  );
}
