import { type BootArguments, renderBootArguments } from "#proto/contract/boot-arguments.ts";
import { type Digest, digestHex } from "#proto/contract/digest.ts";
import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { MusterError } from "#proto/contract/muster-error.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import { baseCompression } from "../images/plan-image.ts";
import type { ImageChoice } from "../images/plan-image-choice.ts";
import type { ImageVersion, Node } from "../inventory/inventory.ts";
import { validateKernelArgument } from "./validate-kernel-argument.ts";

/** What iPXE tells about the machine it runs on. */
export interface BootMachine {
  readonly mac: MacAddress;
  /** SMBIOS UUID and serial number; empty when the firmware has none. Shown to people, trusted by no one. */
  readonly uuid: string;
  readonly serial: string;
  /** iPXE's `${platform}`: "pcbios" or "efi". */
  readonly platform: string;
  /** iPXE's `${buildarch}`: "i386", "x86_64", "arm64", ... The build, not the machine: undionly.kpxe is i386. */
  readonly buildArchitecture: string;
}

/** A file iPXE loads: the path below this controller and the name it has for the kernel. */
interface BootFile {
  readonly path: string;
  readonly name: string;
}

/** What a machine is sent to do. */
export type BootScript =
  | {
      readonly do: "boot";
      /** Lines on the console before the downloads. */
      readonly banner: readonly string[];
      readonly kernel: BootFile;
      /** In the order the kernel unpacks them. */
      readonly initramfs: readonly BootFile[];
      readonly arguments: readonly string[];
      readonly retryAfterSeconds: number;
    }
  /** Nothing to boot: say so, wait, try again. */
  | {
      readonly do: "wait";
      readonly banner: readonly string[];
      /** The reason in the banner, and what to do. */
      readonly what: string;
      readonly fix: string;
      readonly retryAfterSeconds: number;
    };

/** What {@link planBootScript} decides from. */
export interface BootFacts {
  readonly machine: BootMachine;
  /** Absent: nobody knows the machine; it boots into discovery. */
  readonly node?: Pick<Node, "name" | "kernelArguments">;
  readonly image: ImageChoice;
  /** Absent for machines nobody knows. */
  readonly token?: string;
  readonly config: Pick<MusterConfig, "controller" | "ports" | "boot">;
  readonly authorityFingerprint: string;
  readonly now: Date;
}

const RETRY_AFTER_SECONDS = 30;
/** A machine that was replaced stands there until somebody comes. */
const REFUSED_RETRY_SECONDS = 300;
/**
 * A kernel that panics before /init can say so restarts the machine: a damaged download, or too little memory to
 * unpack the initramfs, must not end in a console that stands still. A site's own panic= comes later and counts.
 */
const PANIC_RESTART = "panic=30";
/** COMMAND_LINE_SIZE of x86 and arm64 is 2048, with the closing NUL. */
const LONGEST_COMMAND_LINE = 2047;
/** iPXE takes 254 words (include/ipxe/parseopt.h, MAX_ARGUMENTS); 40 are left for our own. */
const MOST_ARGUMENTS = 200;

/**
 * Decides what a machine boots.
 *
 * | image | architecture | arguments | result |
 * |---|---|---|---|
 * | none | | | wait, says which and what to do |
 * | found | of another machine | | wait |
 * | found | fits | cannot be passed through iPXE | wait, says which |
 * | found | fits | fine | boot |
 *
 * Site arguments come first, then the node's; muster's own come last, where the agent takes them from, so that
 * no argument of a node changes whom it trusts.
 */
export function planBootScript(facts: BootFacts): BootScript {
  const { node, image, machine } = facts;
  const who = node === undefined ? `unknown machine ${machine.mac}` : `${node.name} (${machine.mac})`;
  const wait = (what: string, fix: string): BootScript => planWait(who, what, fix);
  if (!image.found) return wait(image.what, image.fix);
  const { version } = image;
  const label = `${version.image} version ${version.version}`;
  if (!runsOn(version.architecture, machine)) {
    return wait(
      `image ${label} is for ${version.architecture}, this machine is ${machine.buildArchitecture}`,
      "give the node an image of its architecture: muster node set NODE --image NAME",
    );
  }
  const chosen = [...facts.config.boot.kernelArguments, ...(node?.kernelArguments ?? [])];
  const bad = chosen.flatMap((argument) => {
    const reason = validateKernelArgument(argument);
    return reason === undefined ? [] : [{ argument, reason }];
  })[0];
  if (bad !== undefined) {
    return wait(
      `kernel argument ${bad.argument.slice(0, 60)} ${bad.reason}`,
      "correct kernelArguments of the node, or boot.kernelArguments in muster.yaml",
    );
  }
  const initramfs = [
    { path: `/boot/base/base-${baseCompression(version.features)}.cpio`, name: "base.img" },
    blobFile(version.modules.digest, "modules.img"),
  ];
  // The EFI stub loads what `initrd=` names from iPXE's files; a BIOS kernel got them from iPXE and ignores it.
  const words = [
    ...initramfs.map((file) => `initrd=${file.name}`),
    PANIC_RESTART,
    ...chosen,
    ...renderBootArguments(bootArguments(facts, version)),
  ];
  if (words.join(" ").length > LONGEST_COMMAND_LINE || chosen.length > MOST_ARGUMENTS) {
    return wait(
      `the kernel command line is longer than ${LONGEST_COMMAND_LINE} characters or ${MOST_ARGUMENTS} arguments`,
      "shorten kernelArguments of the node, or boot.kernelArguments in muster.yaml",
    );
  }
  return {
    do: "boot",
    banner: [
      `muster: ${who} boots ${label}, kernel ${version.kernelRelease}`,
      ...(node === undefined ? ["muster: nobody knows this machine yet; it boots to wait for approval"] : []),
    ],
    kernel: blobFile(version.kernel.digest, "vmlinuz"),
    initramfs,
    arguments: words,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  };
}

/** What a machine does that cannot be given anything to boot, and says meanwhile. */
export function planWait(who: string, what: string, fix: string): Extract<BootScript, { do: "wait" }> {
  return {
    do: "wait",
    banner: [`muster: ${who}`, `muster: cannot boot: ${what}`, `muster: ${fix}`],
    what,
    fix,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  };
}

/** What a machine does that was replaced, and is not to come back by itself. */
export function planRefused(mac: MacAddress, error: MusterError): Extract<BootScript, { do: "wait" }> {
  const script = planWait(mac, error.message, error.fix ?? "ask the operator");
  return { ...script, retryAfterSeconds: REFUSED_RETRY_SECONDS };
}

/** The URL path of a kernel or module archive. */
function blobFile(digest: Digest, name: string): BootFile {
  return { path: `/boot/blob/${digestHex(digest)}/${name}`, name };
}

function bootArguments(facts: BootFacts, version: ImageVersion): BootArguments {
  const { controller, ports, boot } = facts.config;
  return {
    controllers: [`${controller.address}:${ports.enrolment}`, ...controller.alternatives],
    authorityFingerprint: facts.authorityFingerprint,
    ...(facts.token === undefined ? {} : { token: facts.token }),
    kernelDigest: version.kernel.digest,
    bootMac: facts.machine.mac,
    time: Math.floor(facts.now.getTime() / 1000),
    giveUpAfterSeconds: boot.giveUpAfterSeconds,
    rebootAfterSeconds: boot.rebootAfterSeconds,
    rescue: false,
  };
}

/** An i386 iPXE runs on x86-64 machines; an unknown one is given the benefit of the doubt. */
function runsOn(architecture: ImageVersion["architecture"], machine: BootMachine): boolean {
  const isArm = machine.buildArchitecture.startsWith("arm");
  const isX86 = /^(i386|x86_64)$/.test(machine.buildArchitecture);
  return architecture === "aarch64" ? !isX86 : !isArm;
}
