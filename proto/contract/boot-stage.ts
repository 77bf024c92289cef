/**
 * The stages of a boot, in order, by who observes them. The names are what `muster node boots` shows
 * and what StageTiming.stage carries.
 */
export const BOOT_STAGES = [
  { name: "dhcp", observer: "controller", about: "firmware asked for an address" },
  { name: "script", observer: "controller", about: "iPXE fetched its script" },
  { name: "artifacts", observer: "controller", about: "iPXE fetched kernel and initramfs" },
  { name: "kernel", observer: "agent", about: "kernel start to /init" },
  { name: "init", observer: "agent", about: "/init: modules, start of the agent" },
  { name: "network", observer: "agent", about: "link, lease, route" },
  { name: "connect", observer: "agent", about: "controller reached, its certificate verified" },
  { name: "enrol", observer: "agent", about: "identity proven, certificate issued" },
  { name: "approval", observer: "agent", about: "waited for an operator" },
  { name: "plan", observer: "agent", about: "boot plan received" },
  { name: "fetch", observer: "agent", about: "image layers streamed and verified" },
  { name: "mount", observer: "agent", about: "root file system assembled" },
  { name: "overlay", observer: "agent", about: "system overlay applied" },
  { name: "switch", observer: "agent", about: "handed over to the image's init" },
  { name: "userspace", observer: "agent", about: "init of the image up to the agent's session" },
] as const satisfies readonly { name: string; observer: "controller" | "agent"; about: string }[];

export type BootStage = (typeof BOOT_STAGES)[number]["name"];
