import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { startDaemon } from "#proto/host/run-command.ts";

/** Where distributions put QEMU and the UEFI firmware: Debian and Ubuntu first, then Enterprise Linux. */
const QEMU = ["/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm"];
const OVMF = [
  { code: "/usr/share/OVMF/OVMF_CODE_4M.fd", vars: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
  { code: "/usr/share/OVMF/OVMF_CODE.fd", vars: "/usr/share/OVMF/OVMF_VARS.fd" },
  { code: "/usr/share/edk2/ovmf/OVMF_CODE.fd", vars: "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
];
/** A machine whose KVM works says so in milliseconds. */
const KVM_TRIAL_MS = 3_000;

/** What virtual machines run with here. */
export interface LabHost {
  readonly qemu: string;
  readonly ovmfCode: string;
  readonly ovmfVars: string;
  readonly hasKvm: boolean;
}

let found: Promise<LabHost> | undefined;

/** Looks once for QEMU, its firmware and a KVM that works. Throws `program-missing`. */
export function findQemuHost(): Promise<LabHost> {
  found ??= lookAround();
  return found;
}

async function lookAround(): Promise<LabHost> {
  const inPath = (process.env["PATH"] ?? "").split(delimiter).map((it) => join(it, "qemu-system-x86_64"));
  const qemu = await firstThere([...inPath, ...QEMU], (path) => path);
  const ovmf = await firstThere(OVMF, ({ code }) => code);
  if (qemu === undefined || ovmf === undefined) {
    throw new MusterError({
      code: "program-missing",
      what: `${qemu === undefined ? "qemu-system-x86_64" : "the UEFI firmware OVMF"} is not installed`,
      fix: "node packaging/bootstrap.mjs lab",
    });
  }
  return { qemu, ovmfCode: ovmf.code, ovmfVars: ovmf.vars, hasKvm: await kvmWorks(qemu) };
}

async function firstThere<T>(candidates: readonly T[], pathOf: (it: T) => string): Promise<T | undefined> {
  for (const candidate of candidates) {
    const there = await access(pathOf(candidate)).then(
      () => true,
      () => false,
    );
    if (there) return candidate;
  }
  return undefined;
}

/**
 * Whether a guest really runs under KVM. That /dev/kvm opens and makes a VM proves little: in a VM with
 * paravirtual nesting it does both, and then QEMU dies over an MSR, or the firmware never runs. So SeaBIOS has
 * to say its name on the serial line.
 */
async function kvmWorks(qemu: string): Promise<boolean> {
  const usable = await access("/dev/kvm").then(
    () => true,
    () => false,
  );
  return usable && (await firmwareSpeaks(qemu));
}

async function firmwareSpeaks(qemu: string): Promise<boolean> {
  const { promise: spoke, resolve } = Promise.withResolvers<boolean>();
  const trial = await startDaemon({
    program: qemu,
    args: [
      ...["-accel", "kvm", "-cpu", "host", "-machine", "pc,graphics=off", "-m", "64"],
      ...["-display", "none", "-no-user-config", "-nodefaults", "-monitor", "none", "-serial", "stdio"],
    ],
    onLine: (line) => {
      if (line.includes("SeaBIOS")) resolve(true);
    },
  });
  const timer = setTimeout(resolve, KVM_TRIAL_MS, false);
  const works = await Promise.race([spoke, trial.exited.then(() => false)]);
  clearTimeout(timer);
  trial.kill("SIGKILL");
  await trial.exited;
  return works;
}
