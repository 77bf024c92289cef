import { type MacAddress, readMacAddress } from "./mac-address.ts";
import { MusterError } from "./muster-error.ts";

/**
 * What the controller tells the agent on the kernel command line: `muster.NAME=VALUE` words.
 * Nothing in here outlives the boot: the token is single use and expires in minutes.
 */
export interface BootArguments {
  /** host:port of the enrolment service, in the order to try. At least one. `muster.controllers=a:1,b:1` */
  readonly controllers: readonly string[];
  /** SHA-256 of the authority's certificate (DER), 64 hex digits. `muster.ca=` */
  readonly authorityFingerprint: string;
  /** One-time enrolment token; absent in discovery. `muster.token=` */
  readonly token?: string;
  /** Digest of this kernel, echoed in GetBootPlan. `muster.kernel=` */
  readonly kernelDigest?: string;
  /** The interface the firmware booted from. `BOOTIF=01-52-54-00-12-34-56` (PXELINUX's spelling) */
  readonly bootMac?: MacAddress;
  /** Seconds since 1970 when the script was rendered: lower bound for the node's clock. `muster.time=` */
  readonly time?: number;
  /** Seconds until the agent gives up and the machine restarts. `muster.give_up_after=`, `muster.reboot_after=` */
  readonly giveUpAfterSeconds: number;
  readonly rebootAfterSeconds: number;
  /** A busybox shell on the console instead of a boot. `muster.rescue` */
  readonly rescue: boolean;
}

const DEFAULT_GIVE_UP_AFTER_SECONDS = 600;
export const DEFAULT_REBOOT_AFTER_SECONDS = 30;

/** The words of a command line, for the kernel. Values come from validated fields and hold no blanks. */
export function renderBootArguments(args: BootArguments): readonly string[] {
  return [
    `muster.controllers=${args.controllers.join(",")}`,
    `muster.ca=${args.authorityFingerprint}`,
    ...(args.token === undefined ? [] : [`muster.token=${args.token}`]),
    ...(args.kernelDigest === undefined ? [] : [`muster.kernel=${args.kernelDigest}`]),
    ...(args.bootMac === undefined ? [] : [`BOOTIF=01-${args.bootMac.replaceAll(":", "-")}`]),
    ...(args.time === undefined ? [] : [`muster.time=${args.time}`]),
    `muster.give_up_after=${args.giveUpAfterSeconds}`,
    `muster.reboot_after=${args.rebootAfterSeconds}`,
    ...(args.rescue ? ["muster.rescue"] : []),
  ];
}

/**
 * Reads /proc/cmdline. Words that are not ours are ignored; of a word given twice the last counts, as in
 * the kernel. Throws `boot-arguments-invalid` when the controller or the fingerprint is missing or malformed.
 */
export function parseBootArguments(cmdline: string): BootArguments {
  const words = new Map<string, string>();
  for (const word of cmdline.trim().split(/\s+/)) {
    const [, name, value] = /^([^=]+)(?:=(.*))?$/.exec(word) ?? [];
    if (name !== undefined) words.set(name, value ?? "");
  }
  const controllers = (words.get("muster.controllers") ?? "").split(",").filter((address) => address !== "");
  if (controllers.length === 0) {
    throw invalid("muster.controllers is missing", "the iPXE script of the controller sets it");
  }
  const authorityFingerprint = (words.get("muster.ca") ?? "").toLowerCase().replaceAll(":", "");
  if (!/^[0-9a-f]{64}$/.test(authorityFingerprint)) {
    throw invalid("muster.ca is not a SHA-256 fingerprint", "`muster doctor` on the controller prints it");
  }
  const token = words.get("muster.token");
  const kernelDigest = words.get("muster.kernel");
  const bootMac = readMacAddress(words.get("BOOTIF") ?? "");
  const time = readSeconds(words.get("muster.time"));
  return {
    controllers,
    authorityFingerprint,
    ...(token === undefined || token === "" ? {} : { token }),
    ...(kernelDigest === undefined || kernelDigest === "" ? {} : { kernelDigest }),
    ...(bootMac === undefined ? {} : { bootMac }),
    ...(time === undefined ? {} : { time }),
    giveUpAfterSeconds: readSeconds(words.get("muster.give_up_after")) ?? DEFAULT_GIVE_UP_AFTER_SECONDS,
    rebootAfterSeconds: readSeconds(words.get("muster.reboot_after")) ?? DEFAULT_REBOOT_AFTER_SECONDS,
    rescue: words.has("muster.rescue") && words.get("muster.rescue") !== "0",
  };
}

function readSeconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "boot-arguments-invalid", what: `kernel command line: ${what}`, fix });
}
