import { constants } from "node:fs";
import { access, rm } from "node:fs/promises";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { type Blob, type BootPlan, RootMode } from "#proto/gen/muster/v1/provisioning.ts";

import { storeNodeRecord } from "../node-record.ts";
import { applyOverlaySteps } from "../overlays/apply-overlay-steps.ts";
import { listOverlayBlobs, planOverlay } from "../overlays/plan-overlay.ts";
import { resolveInRoot } from "../overlays/resolve-in-root.ts";
import { readHostFile } from "../read-host-file.ts";
import { applyMountSteps } from "./apply-mount-steps.ts";
import type { BootHost } from "./boot-host.ts";
import { type BootState, giveUpAtMs, required } from "./boot-state.ts";
import { getBootPlan, reportBoot } from "./controller-calls.ts";
import { blobFileName, fetchBlob } from "./fetch-blob.ts";
import { parseMemInfo } from "./parse-meminfo.ts";
import { planBlobStoreMount, planMounts } from "./plan-mounts.ts";
import { validateMemory } from "./validate-memory.ts";

const PROGRESS_MS = 2000;

/** Gets the boot plan and checks what can be checked before anything is fetched. */
export async function planStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const identity = required(state.identity, "identity");
  const kernelDigest = state.args.kernelDigest ?? "";
  const plan = await getBootPlan(identity, { bootId: state.bootId, kernelDigest }, signal);
  if (plan.retry !== undefined) {
    state.giveUpAfterSeconds = plan.retry.giveUpAfterSeconds;
    state.rebootAfterSeconds = plan.retry.rebootAfterSeconds;
  }
  // A machine in discovery was booted with the default image's kernel and no word about it.
  if (kernelDigest !== "" && plan.kernelDigest !== "" && kernelDigest !== plan.kernelDigest) {
    throw new MusterError({
      code: "kernel-mismatch",
      what: `image ${plan.imageName} version ${plan.imageVersion} wants another kernel than the one that is running`,
      fix: "nothing to do: the restart boots it",
    });
  }
  validateInit(plan);
  state.plan = plan;
  state.overlay = planOverlay(plan.overlay);
  host.console.line(`booting image ${plan.imageName} version ${plan.imageVersion}`);
  return `${plan.imageName} version ${plan.imageVersion}`;
}

/** Fetches every blob of the plan, verified, into memory of its own. */
export async function fetchStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const plan = required(state.plan, "boot plan");
  const blobs = blobsOf(state);
  const total = blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
  if (state.memoryChecked !== true) {
    validateMemory(plan, parseMemInfo((await readHostFile(host.paths.memInfo)) ?? "", "MemAvailable"));
    state.memoryChecked = true;
  }
  await applyMountSteps(host, [planBlobStoreMount(host.paths, total)], signal);
  const started = host.uptimeMs();
  let before = 0;
  let saidMs = started;
  for (const blob of blobs) {
    const onProgress = (bytes: number): void => {
      const nowMs = host.uptimeMs();
      if (nowMs - saidMs < PROGRESS_MS) return;
      saidMs = nowMs;
      host.console.line(`fetching: ${describeProgress(before + bytes, total, nowMs - started)}`);
    };
    await fetchBlob(
      host,
      {
        blob,
        addresses: plan.blobAddresses,
        identity: required(state.identity, "identity"),
        path: blobPath(host, blob),
        deadlineUptimeMs: giveUpAtMs(state),
        onProgress,
      },
      signal,
    );
    before += blob.sizeBytes;
  }
  const detail = describeProgress(total, total, host.uptimeMs() - started);
  host.console.line(`fetched and verified ${detail}`);
  return detail;
}

/** Assembles the root file system from the fetched layers. */
export async function mountStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const plan = required(state.plan, "boot plan");
  const layerFiles = plan.layers.map((layer) => blobPath(host, layer));
  await applyMountSteps(host, planMounts(host.paths, plan, layerFiles), signal);
  return plan.rootMode === RootMode.TMPFS ? "tmpfs" : `squashfs, ${plan.layers.length} layers`;
}

/** Applies the system overlay to the new root, then drops the files that only it needed. */
export async function overlayStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const steps = required(state.overlay, "overlay");
  const root = host.paths.newRoot;
  await applyOverlaySteps(
    {
      root,
      blobPath: (blob) => blobPath(host, blob),
      setfattr: host.paths.programs.setfattr,
      warn: (line) => {
        host.console.line(line);
      },
      run: host.run,
    },
    steps,
    signal,
  );
  const layers = new Set(required(state.plan, "boot plan").layers.map(({ digest }) => digest));
  for (const blob of listOverlayBlobs(steps)) {
    if (!layers.has(blob.digest)) await rm(blobPath(host, blob), { force: true });
  }
  return `${steps.length} paths`;
}

/** Checks that there is an init to hand over to, and leaves identity and timings for the booted system. */
export async function switchStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const plan = required(state.plan, "boot plan");
  const identity = required(state.identity, "identity");
  const init = await resolveInRoot(host.paths.newRoot, plan.init);
  if (!(await isExecutable(init))) {
    throw new MusterError({
      code: "init-missing",
      what: `image ${plan.imageName} version ${plan.imageVersion} has no program ${plan.init}`,
      fix: "install an init into the image (systemd-sysv in Debian, systemd in EL) and import it again",
    });
  }
  const record = {
    name: identity.nodeName,
    image: plan.imageName,
    imageVersion: plan.imageVersion,
    bootId: state.bootId,
    bootMac: required(state.network, "network").mac,
    enrolmentAddresses: state.args.controllers,
    agentAddresses: identity.agentAddresses,
    blobAddresses: plan.blobAddresses,
  };
  state.stages.end("switch", plan.init);
  await storeNodeRecord(host.paths, record, state.stages.list());
  await reportStages(host, state, signal);
  host.console.line(`handing over to ${plan.init} of ${plan.imageName} version ${plan.imageVersion}`);
  return plan.init;
}

/** Best effort: a controller that is away for a moment is no reason to stop booting. */
export async function reportStages(host: BootHost, state: BootState, signal: AbortSignal): Promise<void> {
  if (state.identity === undefined) return;
  const stages = state.stages.list();
  const uptimeMs = Math.round(host.uptimeMs());
  await reportBoot(state.identity, { bootId: state.bootId, stages, uptimeMs }, signal);
}

/** The word after `switch_root /newroot` in a file that a shell reads. */
function validateInit(plan: BootPlan): void {
  if (/^\/[\w./+@-]+$/.test(plan.init)) return;
  throw new MusterError({
    code: "init-missing",
    what: `the boot plan names ${JSON.stringify(plan.init)} as init, which is not a plain absolute path`,
    fix: "correct the image's init on the controller",
  });
}

/** Layers and overlay files, each once. */
function blobsOf(state: BootState): readonly Blob[] {
  const all = [
    ...required(state.plan, "boot plan").layers,
    ...listOverlayBlobs(required(state.overlay, "overlay")),
  ];
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()];
}

function blobPath(host: BootHost, blob: Blob): string {
  return join(host.paths.blobs, blobFileName(blob));
}

function describeProgress(bytes: number, total: number, ms: number): string {
  const rate = ms > 0 ? bytes / 1000 / ms : 0;
  const part = bytes < total ? `${megabytes(bytes)} of ` : "";
  return `${part}${megabytes(total)} MB, ${(ms / 1000).toFixed(1)} s (${rate.toFixed(1)} MB/s)`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
