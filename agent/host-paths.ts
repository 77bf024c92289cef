import { join } from "node:path";

/** Every file and program outside the agent that it reads, writes or runs. No other file of the agent names one. */
export interface HostPaths {
  /** What the kernel and the firmware say. */
  readonly cmdline: string;
  readonly bootId: string;
  readonly cpuInfo: string;
  readonly cpus: string;
  readonly memInfo: string;
  readonly mountInfo: string;
  readonly dmi: string;
  readonly efi: string;
  readonly networkInterfaces: string;
  readonly pciDevices: string;
  /** There is systemd as process 1: sd_booted(3). */
  readonly systemd: string;
  readonly sysrqTrigger: string;
  /** Written by /init and by the udhcpc script of the initramfs. */
  readonly initStarted: string;
  readonly agentStarting: string;
  readonly lease: string;
  readonly udhcpcScript: string;
  /** The agent's own squashfs, mounted by /init: the topmost layer of the new root. */
  readonly agentLayer: string;
  /** Changed while the agent works; /init ends an agent that leaves it alone for too long. */
  readonly alive: string;
  /** What /init does next: the agent's one answer. */
  readonly result: string;
  /** Kept for the booted system. */
  readonly run: string;
  readonly identity: string;
  readonly node: string;
  readonly stages: string;
  /** The last hardware report of this boot. */
  readonly hardware: string;
  /** What the boot said on the console. */
  readonly bootLog: string;
  /** What the runtime overlay is and what it covered; root only. */
  readonly overlayState: string;
  /** What reactions print, while they run. */
  readonly reactions: string;
  /** There when the kernel enforces SELinux or could. */
  readonly selinux: string;
  /** The agent's own programs, of the layer that brought it. */
  readonly agentPrograms: string;
  /** The link to the executable that runs: proc_pid_exe(5). */
  readonly ownExecutable: string;
  /** What muster-agent.service and the agent tell each other about an agent put in place of another. */
  readonly update: string;
  /** Mount points. */
  readonly blobs: string;
  readonly layers: string;
  readonly writable: string;
  readonly newRoot: string;
  /** Programs, found through PATH. */
  readonly programs: {
    readonly busybox: string;
    readonly unsquashfs: string;
    readonly setfattr: string;
    readonly setfacl: string;
    readonly getfattr: string;
    readonly matchpathcon: string;
    readonly systemdRun: string;
    readonly systemctl: string;
    readonly shell: string;
  };
}

/** The paths of the machine whose root directory is `root`: "/" in earnest, a temporary directory in tests. */
export function hostPathsAt(root: string): HostPaths {
  const at = (path: string): string => join(root, path);
  return {
    cmdline: at("proc/cmdline"),
    bootId: at("proc/sys/kernel/random/boot_id"),
    cpuInfo: at("proc/cpuinfo"),
    cpus: at("sys/devices/system/cpu"),
    memInfo: at("proc/meminfo"),
    mountInfo: at("proc/self/mountinfo"),
    dmi: at("sys/class/dmi/id"),
    efi: at("sys/firmware/efi"),
    networkInterfaces: at("sys/class/net"),
    pciDevices: at("sys/bus/pci/devices"),
    systemd: at("run/systemd/system"),
    sysrqTrigger: at("proc/sysrq-trigger"),
    initStarted: at("run/muster/init-started"),
    agentStarting: at("run/muster/agent-starting"),
    lease: at("run/muster/lease.env"),
    udhcpcScript: at("etc/udhcpc.script"),
    agentLayer: at("run/muster/agent"),
    alive: at("run/muster/alive"),
    result: at("run/muster/result"),
    run: at("run/muster"),
    identity: at("run/muster/identity"),
    node: at("run/muster/node.json"),
    stages: at("run/muster/stages.json"),
    hardware: at("run/muster/hardware.json"),
    bootLog: at("run/muster/boot.log"),
    overlayState: at("var/lib/muster/overlay"),
    reactions: at("run/muster/reactions"),
    selinux: at("sys/fs/selinux/enforce"),
    agentPrograms: at("usr/lib/muster"),
    ownExecutable: at("proc/self/exe"),
    update: at("run/muster/update"),
    blobs: at("run/muster/blobs"),
    layers: at("run/muster/layers"),
    writable: at("run/muster/rw"),
    newRoot: at("newroot"),
    programs: {
      busybox: "busybox",
      unsquashfs: "unsquashfs",
      setfattr: "setfattr",
      setfacl: "setfacl",
      getfattr: "getfattr",
      matchpathcon: "matchpathcon",
      systemdRun: "systemd-run",
      systemctl: "systemctl",
      shell: "/bin/sh",
    },
  };
}
