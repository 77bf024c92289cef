import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import type { MacAddress } from "#proto/contract/mac-address.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { planRetryDelayMs } from "#proto/contract/plan-retry.ts";
import { type Daemon, runCommandUnchecked, startDaemon } from "#proto/host/run-command.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";
import type { DhcpHost, MusterConfig } from "../config/muster-config.ts";
import type { MusterEvent } from "../events/telemetry.ts";
import { START_SCRIPT } from "./boot-clients.ts";
import { findIpxeBinaries } from "./gather-dnsmasq-facts.ts";
import type { NetbootLog } from "./netboot-log.ts";
import { type NetbootPaths, netbootPaths } from "./netboot-paths.ts";
import { isDnsmasqStarted, parseDnsmasqLine } from "./parse-dnsmasq-log.ts";
import { isFixedAddressLeased, pruneLeases, renderDhcpHosts } from "./plan-dhcp-hosts.ts";
import { type DnsmasqFacts, planDnsmasq } from "./plan-dnsmasq.ts";
import { renderStartScript } from "./render-ipxe.ts";

/** What {@link superviseDnsmasq} works with. */
export interface DnsmasqEffects {
  readonly config: MusterConfig;
  /** From `gatherDnsmasqFacts`. */
  readonly facts: DnsmasqFacts;
  /** The machines DHCP is to know: `planDhcpHosts` of the inventory's nodes. */
  readonly listHosts: () => Promise<readonly DhcpHost[]>;
  /** dnsmasq answered this machine. Not called when systemd holds dnsmasq, whose log goes to the journal. */
  readonly onDhcp: (mac: MacAddress, at: Date) => void;
  readonly onEvent: (event: Omit<MusterEvent, "id" | "at">) => void;
  readonly log: NetbootLog;
}

/** A dnsmasq that is kept running. Disposing ends it (the child; systemd keeps its own). */
export interface DnsmasqSupervisor extends AsyncDisposable {
  /** The nodes changed; the hosts file follows within a moment, many calls at once as one. */
  hostsChanged(): void;
  /** Resolves when what changed so far has reached dnsmasq. */
  settled(): Promise<void>;
  /** The process, while there is one. */
  pid(): number | undefined;
}

/** A machine imported with 1,000 others must not cause 1,000 rewrites. */
const DEBOUNCE_MS = 100;
const RESTART = { firstMs: 500, maxMs: 30_000 };
/** A dnsmasq that ran this long was healthy: the next restart is quick again. */
const HEALTHY_MS = 60_000;
const LAST_LINES = 5;

/**
 * Writes dnsmasq's files, ends a dnsmasq that a killed musterd left behind, and keeps dnsmasq running until
 * `signal` aborts or the result is disposed. Resolves when dnsmasq runs, or failed its first start (which is an
 * event, and is tried again). `dhcp-failed` when dnsmasq rejects the configuration.
 */
export async function superviseDnsmasq(
  effects: DnsmasqEffects,
  signal: AbortSignal,
): Promise<DnsmasqSupervisor> {
  const { config } = effects;
  const paths = netbootPaths(config.paths);
  const wanted = planDnsmasq(config, effects.facts);
  await mkdir(dirname(paths.dnsmasqConf), { recursive: true });
  await mkdir(dirname(paths.leases), { recursive: true });
  await storeIpxeBinaries(config.paths.ipxe, paths.tftpRoot);
  const service = { address: config.controller.address, port: config.ports.http };
  await writeFileAtomically(join(paths.tftpRoot, START_SCRIPT), renderStartScript(service));
  const before = await readText(paths.dnsmasqConf);
  await writeFileAtomically(paths.dnsmasqConf, wanted);
  await testConfiguration(config.dhcp.program, paths.dnsmasqConf, signal);
  const keeper = config.dhcp.supervisor === "child" ? keepChild(effects, paths) : keepUnit(effects, paths);
  const hosts = followHosts(effects, paths, keeper);
  await hosts.write();
  await keeper.begin(before !== wanted);
  const end = async (): Promise<void> => {
    hosts.stop();
    await keeper.end();
  };
  signal.addEventListener("abort", () => void end(), { once: true });
  if (signal.aborted) await end();
  return {
    hostsChanged: hosts.changed,
    settled: hosts.settled,
    pid: keeper.pid,
    [Symbol.asyncDispose]: end,
  };
}

/** Someone who holds a dnsmasq: us, or systemd. */
interface Keeper {
  begin(configurationChanged: boolean): Promise<void>;
  /** dnsmasq reads the hosts file again. */
  reload(): Promise<void>;
  /** Ends dnsmasq, does `between` while none runs, starts it again. */
  restart(between: () => Promise<void>): Promise<void>;
  end(): Promise<void>;
  pid: () => number | undefined;
}

function keepChild(effects: DnsmasqEffects, paths: NetbootPaths): Keeper {
  const { config, log, onEvent } = effects;
  const stopping = new AbortController();
  const isStopping = (): boolean => stopping.signal.aborted;
  let child: Daemon | undefined;
  let running: Promise<void> = Promise.resolve();
  let planned: (() => Promise<void>) | undefined;
  let tail: string[] = [];

  /** Resolves when dnsmasq said that it runs, or ended. */
  const start = async (): Promise<Daemon> => {
    tail = [];
    let said = (): void => undefined;
    const started = new Promise<void>((resolve) => {
      said = resolve;
    });
    const daemon = await startDaemon({
      program: config.dhcp.program,
      // --no-daemon: stays in the foreground, logs to standard error, keeps musterd's account and its capabilities.
      args: ["--no-daemon", "--log-facility=-", `--conf-file=${paths.dnsmasqConf}`],
      onLine: (line) => {
        tail = [...tail, line].slice(-LAST_LINES);
        if (isDnsmasqStarted(line)) said();
        readLine(line, effects);
      },
    });
    child = daemon;
    await Promise.race([started, daemon.exited]);
    return daemon;
  };

  const loop = async (first: () => void): Promise<void> => {
    for (let failures = 0; !isStopping(); ) {
      const since = performance.now();
      const ending = await start().then(
        (daemon) => {
          first();
          return daemon.exited.then(({ code, signal }) =>
            code === null ? `signal ${String(signal)}` : `exit status ${code}`,
          );
        },
        (error: unknown) => errorSentence(error),
      );
      child = undefined;
      first();
      if (planned !== undefined) {
        const between = planned;
        planned = undefined;
        await between();
        continue;
      }
      if (isStopping()) return;
      failures = performance.now() - since > HEALTHY_MS ? 0 : failures + 1;
      onEvent(exitedEvent(ending, tail, config));
      await delay(planRetryDelayMs(RESTART, Math.max(0, failures - 1), Math.random()), undefined, {
        signal: stopping.signal,
      }).catch(() => undefined);
      await dropStaleLeases(await effects.listHosts().catch(() => []), paths);
    }
  };

  return {
    async begin() {
      await endLeftovers(paths.dnsmasqConf, log);
      await new Promise<void>((resolve) => {
        running = loop(resolve);
      });
      log.info({ pid: child?.pid, interface: effects.facts.interface }, "dnsmasq started");
    },
    async reload() {
      // Before "started" is said the signal would end it, and the file is yet to be read anyway.
      child?.kill("SIGHUP");
      return Promise.resolve();
    },
    async restart(between) {
      const old = child;
      if (old === undefined) {
        await between();
        return;
      }
      await new Promise<void>((resolve, reject) => {
        planned = () => between().then(resolve, reject);
        old.kill("SIGTERM");
      });
    },
    async end() {
      stopping.abort();
      child?.kill("SIGTERM");
      const late = setTimeout(() => child?.kill("SIGKILL"), 3000);
      await running;
      clearTimeout(late);
    },
    pid: () => child?.pid,
  };
}

function keepUnit(effects: DnsmasqEffects, paths: NetbootPaths): Keeper {
  const find = async (): Promise<number | undefined> => (await findOurs(paths.dnsmasqConf))[0];
  let known: number | undefined;
  const send = async (what: NodeJS.Signals): Promise<number | undefined> => {
    known = await find();
    if (known === undefined || !sendSignal(known, what)) {
      effects.onEvent({
        severity: "warning",
        kind: "dnsmasq-exited",
        what:
          known === undefined ? "dnsmasq does not run" : `dnsmasq (process ${known}) may not be signalled`,
        fix: "systemctl restart muster-dnsmasq.service; journalctl -u muster-dnsmasq.service says why it ended",
      });
    }
    return known;
  };
  return {
    async begin(configurationChanged) {
      known = await find();
      // Not running at all is no fault here: systemd starts it after musterd, when its files are there.
      if (known !== undefined) await send(configurationChanged ? "SIGTERM" : "SIGHUP");
    },
    async reload() {
      await send("SIGHUP");
    },
    async restart(between) {
      const pid = await send("SIGTERM");
      if (pid !== undefined) await gone(pid, 3000);
      await between();
    },
    end: () => Promise.resolve(),
    pid: () => known,
  };
}

function followHosts(
  effects: DnsmasqEffects,
  paths: NetbootPaths,
  keeper: Keeper,
): { write(): Promise<void>; changed: () => void; settled: () => Promise<void>; stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let work: Promise<void> = Promise.resolve();
  let written: string | undefined;
  let isStopped = false;
  const write = async (): Promise<void> => {
    const hosts = await effects.listHosts();
    written = renderDhcpHosts(hosts);
    await writeFileAtomically(paths.dhcpHosts, written);
    await dropStaleLeases(hosts, paths);
  };
  const apply = async (): Promise<void> => {
    const hosts = await effects.listHosts();
    const text = renderDhcpHosts(hosts);
    if (text === written) return;
    await writeFileAtomically(paths.dhcpHosts, text);
    written = text;
    if (isFixedAddressLeased((await readText(paths.leases)) ?? "", hosts)) {
      await keeper.restart(() => dropStaleLeases(hosts, paths));
    } else {
      await keeper.reload();
    }
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    work = work.then(apply).catch((error: unknown) => {
      effects.onEvent({
        severity: "error",
        kind: "dhcp-hosts-failed",
        what: `DHCP does not know the latest nodes: ${errorSentence(error)}`,
        ...(error instanceof MusterError && error.fix !== undefined ? { fix: error.fix } : {}),
      });
    });
    return work;
  };
  return {
    write,
    changed: () => {
      if (!isStopped) timer ??= setTimeout(() => void flush(), DEBOUNCE_MS);
    },
    settled: () => (timer === undefined ? work : flush()),
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

function readLine(line: string, effects: DnsmasqEffects): void {
  const seen = parseDnsmasqLine(line);
  if (
    seen?.kind === "proxy" ||
    (seen?.kind === "dhcp" && (seen.message === "OFFER" || seen.message === "ACK"))
  ) {
    effects.onDhcp(seen.mac, new Date());
  }
  if (/not using configured address|no address available|failed|error/i.test(line))
    effects.log.warn({}, line);
}

function exitedEvent(
  ending: string,
  tail: readonly string[],
  config: MusterConfig,
): Omit<MusterEvent, "id" | "at"> {
  const said = tail.filter((line) => line !== "").join("; ");
  return {
    severity: "error",
    kind: "dnsmasq-exited",
    what: `dnsmasq ended (${ending}) and is started again${said === "" ? "" : `; it said: ${said}`}`,
    fix: /address already in use/i.test(said)
      ? "another DHCP or TFTP server runs on this host; stop it (ss -ulpn 'sport = :67 or sport = :69' shows it)"
      : `\`muster doctor\` looks for the cause; ${config.dhcp.program} must be able to use ports 67 and 69`,
  };
}

/** Leases are rewritten only while no dnsmasq runs: it holds them in memory and would write them back. */
async function dropStaleLeases(hosts: readonly DhcpHost[], paths: NetbootPaths): Promise<void> {
  const pruned = pruneLeases((await readText(paths.leases)) ?? "", hosts);
  if (pruned !== undefined) await writeFileAtomically(paths.leases, pruned);
}

async function testConfiguration(program: string, conf: string, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr } = await runCommandUnchecked(
    { program, args: ["--test", `--conf-file=${conf}`], deadlineMs: 10_000 },
    signal,
  );
  if (exitCode === 0) return;
  throw new MusterError({
    code: "dhcp-failed",
    what: `dnsmasq rejects the generated configuration ${conf}: ${stderr.trim()}`,
    fix: "check network and dhcp in muster.yaml; dnsmasq 2.79 or newer is needed",
  });
}

async function storeIpxeBinaries(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 });
  for (const [name, path] of await findIpxeBinaries(from)) {
    await writeFileAtomically(join(to, name), await readFile(path));
  }
}

/** Ends every dnsmasq that was started with our configuration file: the orphans of a musterd that was killed. */
async function endLeftovers(conf: string, log: NetbootLog): Promise<void> {
  for (const pid of await findOurs(conf)) {
    log.warn({ pid }, "a dnsmasq of an earlier musterd still runs; ending it");
    sendSignal(pid, "SIGTERM");
    if (await gone(pid, 3000)) continue;
    sendSignal(pid, "SIGKILL");
    if (await gone(pid, 3000)) continue;
    throw new MusterError({
      code: "dhcp-failed",
      what: `dnsmasq (process ${pid}) of an earlier musterd cannot be ended`,
      fix: `kill -9 ${pid}`,
    });
  }
}

/**
 * Processes whose arguments name our configuration file. A pid file would name one process that may be another by
 * now; the arguments cannot lie about whose dnsmasq it is.
 */
async function findOurs(conf: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const words = ((await readText(`/proc/${entry}/cmdline`)) ?? "").split("\0");
    if (words.includes(`--conf-file=${conf}`)) found.push(Number(entry));
  }
  return found;
}

async function gone(pid: number, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    const state = (await readText(`/proc/${pid}/stat`))?.replace(/^.*\) /s, "")[0];
    if (state === undefined || state === "Z") return true;
    await delay(20);
  }
  return false;
}

function sendSignal(pid: number, what: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, what);
  } catch {
    return false;
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    // ESRCH: a process that ended while its entry in /proc was read.
    if (error instanceof Error && "code" in error && ["ENOENT", "ESRCH"].includes(String(error.code)))
      return undefined;
    throw error;
  }
}
