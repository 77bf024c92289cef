/**
 * How a machine starts:
 * bios - SeaBIOS and the network card's iPXE ROM; uefi - OVMF's own PXE, then snponly.efi over TFTP;
 * uefi-http - OVMF's HTTP boot; direct - QEMU loads kernel and initramfs, no firmware network at all.
 */
export type LabFirmware = "bios" | "uefi" | "uefi-http" | "direct";

/** What a virtual machine is made of. */
export interface MachineSpec {
  /** Unique in its lab; names its files. */
  readonly name: string;
  readonly mac: string;
  readonly firmware: LabFirmware;
  /** CPU topology; each 1 when absent. */
  readonly sockets?: number;
  readonly cores?: number;
  readonly threads?: number;
  /** In place of the three above, as QEMU's -smp takes it: "4,sockets=2,dies=2,cores=1". */
  readonly smp?: string;
  /** More of QEMU's arguments: memory nodes, CPU models. */
  readonly moreArguments?: readonly string[];
  /** Default 1024, which a Debian node boots in. */
  readonly memoryMib?: number;
  /** SMBIOS type 1. Default LAB-<NAME>. */
  readonly serial?: string;
  /** SMBIOS type 1. Default: made from the MAC. */
  readonly uuid?: string;
  /** The guest's reboot ends QEMU instead of going through the firmware again. */
  readonly exitOnReboot?: boolean;
  /** For firmware "direct". */
  readonly kernel?: string;
  /** One after the other, as iPXE loads them. */
  readonly initrds?: readonly string[];
  readonly append?: string;
}

/** What of this host a QEMU command line depends on. */
export interface QemuHost {
  readonly hasKvm: boolean;
  /** Read-only firmware code for UEFI machines. */
  readonly ovmfCode: string;
}

/** Files and interface of one machine. */
export interface MachinePlaces {
  readonly tap: string;
  readonly consoleLog: string;
  readonly consoleSocket: string;
  /** QEMU's own control channel (QMP). */
  readonly controlSocket: string;
  /** This machine's own copy of the UEFI variables. */
  readonly ovmfVars: string;
  /** The initrds of a direct boot in one file: QEMU takes a list only for multiboot kernels. */
  readonly initrd: string;
}

// x86-64-v2 and what costs TCG nothing. "max" brings 5-level paging and protection features that software
// emulation pays for (18.7 s instead of 15.8 s to boot); AVX flags without xsave hang the kernel. AES, as every
// real machine has it: TLS then takes 2.3 s of CPU time for 90 MB, not 4.
const EMULATED_CPU =
  "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+bmi1,+bmi2,+movbe,+abm,+rdrand,+rdseed,+fsgsbase";

/** The command line of qemu-system-x86_64 for one machine. */
export function planQemuArguments(
  spec: MachineSpec,
  host: QemuHost,
  places: MachinePlaces,
): readonly string[] {
  const { sockets = 1, cores = 1, threads = 1 } = spec;
  const uuid = spec.uuid ?? `77000000-0000-4000-8000-${spec.mac.replaceAll(":", "").toLowerCase()}`;
  const serial = spec.serial ?? `LAB-${spec.name.toUpperCase()}`;
  return [
    ...["-accel", host.hasKvm ? "kvm" : "tcg,thread=multi,tb-size=512"],
    ...["-cpu", host.hasKvm ? "host" : EMULATED_CPU],
    ...[
      "-smp",
      spec.smp ?? `${sockets * cores * threads},sockets=${sockets},cores=${cores},threads=${threads}`,
    ],
    ...["-m", `${spec.memoryMib ?? 1024}`],
    ...[
      "-display",
      "none",
      "-no-user-config",
      "-nodefaults",
      "-monitor",
      "none",
      "-rtc",
      "base=utc,clock=host",
    ],
    ...(spec.exitOnReboot === true ? ["-no-reboot"] : []),
    ...[
      "-chardev",
      `socket,id=s0,path=${places.consoleSocket},server=on,wait=off,logfile=${places.consoleLog}`,
    ],
    ...["-serial", "chardev:s0"],
    ...["-qmp", `unix:${places.controlSocket},server=on,wait=off`],
    ...["-smbios", `type=1,manufacturer=muster,product=lab,serial=${serial},uuid=${uuid}`],
    ...["-netdev", `tap,id=n0,ifname=${places.tap},script=no,downscript=no`],
    ...planFirmware(spec, host, places),
    ...(spec.moreArguments ?? []),
  ];
}

function planFirmware(spec: MachineSpec, host: QemuHost, places: MachinePlaces): readonly string[] {
  const card = `virtio-net-pci,netdev=n0,mac=${spec.mac}`;
  switch (spec.firmware) {
    case "bios":
      // graphics=off puts SeaBIOS and iPXE on the serial line.
      return ["-machine", "pc,graphics=off", "-boot", "n", "-device", card];
    case "uefi":
      return [...planOvmf(host, places), "-boot", "n", "-device", `${card},romfile=`];
    case "uefi-http":
      return [
        ...planOvmf(host, places),
        // Without these the firmware tries PXE first, and PXE answers.
        ...["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no"],
        ...["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"],
        ...["-boot", "n", "-device", `${card},romfile=`],
      ];
    case "direct":
      return [
        ...["-machine", "pc", "-device", `${card},romfile=`],
        ...(spec.kernel === undefined ? [] : ["-kernel", spec.kernel]),
        ...(spec.initrds === undefined ? [] : ["-initrd", places.initrd]),
        ...["-append", spec.append ?? "console=ttyS0"],
      ];
  }
}

function planOvmf(host: QemuHost, places: MachinePlaces): readonly string[] {
  return [
    ...["-machine", "q35,smm=off"],
    ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${host.ovmfCode}`],
    ...["-drive", `if=pflash,unit=1,format=raw,file=${places.ovmfVars}`],
  ];
}
