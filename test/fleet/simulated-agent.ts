import { randomUUID } from "node:crypto";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { parseBootArguments } from "#proto/contract/boot-arguments.ts";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { BootHost } from "../../agent/boot/boot-host.ts";
import type { BootState } from "../../agent/boot/boot-state.ts";
import { planStep } from "../../agent/boot/build-root.ts";
import { connectStep, enrolStep } from "../../agent/boot/join-controller.ts";
import { openStageClock } from "../../agent/boot/stage-clock.ts";
import { keepHardwareReported } from "../../agent/hardware/report-hardware.ts";
import { hostPathsAt } from "../../agent/host-paths.ts";
import { storeNodeRecord } from "../../agent/node-record.ts";
import { keepRuntimeOverlay } from "../../agent/overlays/keep-runtime-overlay.ts";
import type { AgentMessage, ControllerLink } from "../../agent/session/controller-link.ts";
import { obeyDirectives } from "../../agent/session/obey-directives.ts";
import type { SessionHost } from "../../agent/session/session-host.ts";
import packageJson from "../../package.json" with { type: "json" };
import type { fleetNode } from "./fleet-task.ts";

/** A node without a machine: a directory for its files, an address of its own, and the agent's code. */
export type SimulatedNode = ReturnType<typeof fleetNode> & { readonly root: string };

/**
 * Boots it as far as a machine without disk or kernel can: the boot script over HTTP with its token, the controller
 * checked against the fingerprint, enrolment, boot plan; every step the agent's own. Leaves in /run/muster of its
 * root what a boot leaves.
 */
export async function bootSimulated(
  node: SimulatedNode,
  bootUrl: string,
  signal: AbortSignal,
): Promise<void> {
  const script = await readText(`${bootUrl}/boot/ipxe?mac=${node.mac}&platform=efi&buildarch=x86_64`, signal);
  const kernelLine = /^kernel .*$/m.exec(script)?.[0];
  if (kernelLine === undefined) throw new Error(`${node.name} was given nothing to boot:\n${script}`);
  await writeSys(node);
  const started = performance.now();
  const uptimeMs = (): number => 1000 + performance.now() - started;
  const host: BootHost = {
    paths: hostPathsAt(node.root),
    console: { line: () => undefined },
    uptimeMs,
    now: Date.now,
    random: Math.random,
    sleep: (ms, abort) => sleep(ms, undefined, { signal: abort }),
    run: () => Promise.reject(new Error("a simulated node runs no programs")),
  };
  const state: BootState = {
    args: parseBootArguments(kernelLine),
    bootId: randomUUID(),
    stages: openStageClock(uptimeMs),
    startedMs: uptimeMs(),
    giveUpAfterSeconds: 600,
    rebootAfterSeconds: 30,
    pausedMs: 0,
    network: { interface: "eth0", mac: parseMacAddress(node.mac), address: node.address },
  };
  for (const [stage, step] of [
    ["connect", connectStep],
    ["enrol", enrolStep],
    ["plan", planStep],
  ] as const) {
    state.stages.begin(stage);
    state.stages.end(stage, await step(host, state, signal));
  }
  await keepRecord(host, state, node);
}

async function keepRecord(host: BootHost, state: BootState, node: SimulatedNode): Promise<void> {
  const { plan, identity } = state;
  if (plan === undefined || identity === undefined) throw new Error("the steps before give both");
  await storeNodeRecord(
    host.paths,
    {
      name: identity.nodeName,
      image: plan.imageName,
      imageVersion: plan.imageVersion,
      bootId: state.bootId,
      bootMac: node.mac,
      enrolmentAddresses: state.args.controllers,
      agentAddresses: identity.agentAddresses,
      blobAddresses: plan.blobAddresses,
    },
    state.stages.list(),
  );
}

/** What the agent does on a booted node, all of it but restart the machine; what it sends is shown to `onSend`. */
export function startDuties(
  host: SessionHost,
  node: SimulatedNode,
  whole: ControllerLink,
  onSend: (message: AgentMessage) => void,
  stop: AbortSignal,
): void {
  const link: ControllerLink = {
    ...whole,
    send: (message) => {
      const isSent = whole.send(message);
      if (isSent) onSend(message);
      return isSent;
    },
  };
  const hardware = keepHardwareReported({ ...host, hardware: { root: node.root } }, link);
  const overlay = keepRuntimeOverlay({ ...host, root: node.root }, link, stop);
  obeyDirectives(
    link,
    {
      refreshOverlay: (_action, signal) => overlay.refresh(signal),
      reportHardware: (_action, signal) => hardware.report(signal),
      runCheck: (_action, signal) => overlay.verify(signal),
      reboot: () => Promise.reject(new Error("a simulated node cannot restart")),
    },
    host.log,
  );
}

/** What the booted agent works with. */
export function sessionHost(node: SimulatedNode, log: (line: string) => void): SessionHost {
  return {
    paths: hostPathsAt(node.root),
    agentVersion: packageJson.version,
    agentDigest: "",
    log,
    uptimeMs: () => performance.now(),
    now: Date.now,
    random: Math.random,
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  };
}

/** A machine like this host, but for what tells it from the others. */
async function writeSys(node: SimulatedNode): Promise<void> {
  const files = {
    "sys/class/dmi/id/product_uuid": `4c4c4544-0043-4810-8052-${node.mac.replaceAll(":", "")}`,
    "sys/class/dmi/id/product_serial": `SIM-${node.name}`,
    "sys/class/dmi/id/sys_vendor": "muster",
    "sys/class/dmi/id/product_name": "simulated node",
    "sys/class/net/eth0/type": "1",
    "sys/class/net/eth0/address": node.mac,
    "sys/class/net/eth0/device/uevent": "",
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(node.root, dirname(path)), { recursive: true });
    await writeFile(join(node.root, path), `${text}\n`);
  }
  await symlink("/proc", join(node.root, "proc"));
  await symlink("/sys/devices", join(node.root, "sys/devices"));
}

/** With node:http, whose sockets take their source address from the node. */
function readText(url: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    // A connection of its own, as iPXE has: one kept for others would come from another node's address.
    get(url, { signal, agent: false, timeout: 30_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${url} was answered with ${response.statusCode ?? 0}: ${text}`));
      });
    }).on("error", reject);
  });
}
