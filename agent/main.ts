import { appendFileSync, statSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { runCommand, runCommandUnchecked } from "#proto/host/run-command.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

import packageJson from "../package.json" with { type: "json" };
import { openConsole } from "./boot/console.ts";
import { type BootResult, runBoot } from "./boot/run-boot.ts";
import { type CheckHost, runCheck } from "./checks/run-check.ts";
import { giveMemoryBack } from "./give-memory-back.ts";
import { keepHardwareReported } from "./hardware/report-hardware.ts";
import { type HostPaths, hostPathsAt } from "./host-paths.ts";
import { keepRuntimeOverlay } from "./overlays/keep-runtime-overlay.ts";
import { rebootMachine } from "./reboot/reboot-machine.ts";
import { openControllerLink } from "./session/controller-link.ts";
import { obeyDirectives } from "./session/obey-directives.ts";
import { runSession } from "./session/run-session.ts";
import type { SessionHost } from "./session/session-host.ts";
import { shipLogs } from "./session/ship-logs.ts";
import { tellError } from "./tell-error.ts";
import { keepAgentCurrent } from "./upgrade/keep-agent-current.ts";
import { OWN_BUILD } from "./upgrade/own-build.ts";

const HELP = `muster-agent: the part of muster that runs on the nodes

  muster-agent boot       in the initramfs: enrol, fetch the root file system, assemble it.
                          Leaves what /init has to do next in /run/muster/result and ends itself.
  muster-agent run        on the booted node: keep a session with the controller (muster-agent.service)
  muster-agent hardware   what this machine is, as slurmd -C prints it; --help tells the options
  muster-agent --version
  muster-agent --help
`;

const paths = hostPathsAt("/");

void main(process.argv.slice(2)).then(
  (exitCode) => {
    process.exit(exitCode);
  },
  (error: unknown) => {
    process.exit(tellError(error));
  },
);

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (rest.length > 0) return refuse(`too many arguments after ${JSON.stringify(command)}`);
  switch (command) {
    case "boot":
      return boot();
    case "run":
      return runToTheEnd();
    case "--version":
    case "-V":
      process.stdout.write(`muster-agent ${packageJson.version}\n`);
      // On a line of its own: what an agent that installs this one looks for.
      if (OWN_BUILD !== "") process.stdout.write(`build ${OWN_BUILD}\n`);
      return 0;
    case "--help":
    case "-h":
      process.stdout.write(HELP);
      return 0;
    case undefined:
      return refuse("nothing to do");
    default:
      return refuse(`unknown command ${JSON.stringify(command)}`);
  }
}

function refuse(why: string): number {
  process.stderr.write(`muster-agent: ${why}\n\n${HELP}`);
  return 2;
}

async function boot(): Promise<number> {
  await mkdir(paths.run, { recursive: true });
  const console = openConsole((text) => {
    process.stdout.write(text);
    touchAlive(paths, text);
    keepBootLine(paths, text);
  }, uptimeMs);
  const host = {
    paths,
    console,
    uptimeMs,
    now: Date.now,
    random: Math.random,
    sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
    run: runCommandUnchecked,
  };
  const end = async (result: BootResult): Promise<void> => {
    await mkdir(dirname(paths.result), { recursive: true });
    await writeFileAtomically(paths.result, renderResult(result));
    // Not exit(): in about 3 % of boots under emulation Node's exit waits for ever for a thread that missed its
    // wake-up (glibc before 2.41, pthread_cond_signal). /init acts on the file; nothing is left to clean up.
    process.kill(process.pid, "SIGKILL");
  };
  const crash = (error: unknown): void => {
    console.line(
      `FAILED: this is a bug in muster-agent: ${error instanceof Error ? (error.stack ?? "") : ""}`,
    );
    // No result: /init starts the agent again a few times, then restarts the machine.
    process.kill(process.pid, "SIGKILL");
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  await end(await runBoot(host, new AbortController().signal));
  return 0;
}

/** One line of words for a shell's `read`. */
function renderResult(result: BootResult): string {
  return result.kind === "switch" ? `switch_root ${result.root} ${result.init}\n` : `${result.kind}\n`;
}

/** Whatever is worth a line on the console is a sign of life for /init's watchdog. */
function touchAlive({ alive }: HostPaths, text: string): void {
  try {
    writeFileSync(alive, text);
  } catch {
    // A full /run is told by whatever needed the space.
  }
}

/** A boot that fails for hours must not fill the memory of the machine. */
const MAX_BOOT_LOG_BYTES = 256 * 1024;

/** For `muster node logs`: the booted system's agent sends it. */
function keepBootLine({ bootLog }: HostPaths, text: string): void {
  try {
    const length = statSync(bootLog, { throwIfNoEntry: false })?.size ?? 0;
    if (length < MAX_BOOT_LOG_BYTES) appendFileSync(bootLog, text, { mode: 0o600 });
  } catch {
    // The console has it.
  }
}

const END_MS = 30_000;

/**
 * Runs until it is told to stop. Ends itself as the boot does, whatever happened, for the same reason: systemd would wait
 * for ever for an agent that ends by itself (for a new one, or after a crash) and hangs at its exit, and start none.
 */
async function runToTheEnd(): Promise<number> {
  const crash = (error: unknown): void => {
    process.stderr.write(`muster-agent: ${error instanceof Error ? (error.stack ?? "") : String(error)}\n`);
    process.kill(process.pid, "SIGKILL");
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  await run().catch(tellError);
  process.kill(process.pid, "SIGKILL");
  return 0;
}

async function run(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      stop.abort();
    });
  }
  const { link, sessions } = openControllerLink((line) => {
    log(line);
  });
  // Duties: each subscribes to the link, and outlives the sessions.
  const logs = shipLogs({ paths, now: Date.now, uptimeMs }, link, stop.signal);
  const log = (line: string): void => {
    process.stdout.write(`${line}\n`);
    logs.say(line.startsWith("reaction ") ? "reaction" : "agent", line);
  };
  const host: SessionHost = {
    paths,
    agentVersion: packageJson.version,
    agentDigest: OWN_BUILD,
    log,
    uptimeMs,
    now: Date.now,
    random: Math.random,
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  };
  const overlay = keepRuntimeOverlay(host, link, stop.signal);
  const hardware = keepHardwareReported({ ...host, hardware: { root: "/", run: runCommandUnchecked } }, link);
  const checks: CheckHost = {
    ...{ now: Date.now, root: "/" },
    verifyOverlay: (signal) => overlay.verify(signal),
    compareHardware: (signal) => hardware.compare(signal),
  };
  const obedience = obeyDirectives(
    link,
    {
      refreshOverlay: (_action, signal) => overlay.refresh(signal),
      reportHardware: (_action, signal) => hardware.report(signal),
      runCheck: (action, signal) => runCheck(checks, action, signal),
      reboot: (action) => rebootMachine({ ...host, run: runCommand }, action),
    },
    log,
  );
  keepAgentCurrent(
    {
      ...host,
      run: runCommand,
      program: process.execPath,
      ownBuild: OWN_BUILD,
      isBusy: () => obedience.running() > 0 || overlay.isBusy(),
      end: () => {
        stop.abort();
      },
    },
    link,
    stop.signal,
  );
  giveMemoryBack(link, stop.signal);
  await runSession(host, sessions, stop.signal);
  // Whatever hangs (a file server that is gone) is completed or undone at the next start, as after a crash.
  await Promise.race([overlay.ended, sleep(END_MS)]);
  return 0;
}

/** CLOCK_MONOTONIC counts from the start of the kernel (clock_gettime(2)), finer than /proc/uptime. */
function uptimeMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
