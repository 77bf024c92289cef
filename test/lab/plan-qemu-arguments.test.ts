import { expect, test } from "vitest";

import { planQemuArguments } from "./plan-qemu-arguments.ts";

const HOST = { hasKvm: false, ovmfCode: "/ovmf/CODE.fd" };
const PLACES = {
  tap: "tap3",
  consoleLog: "/lab/c1.log",
  consoleSocket: "/lab/c1.sock",
  controlSocket: "/lab/c1.qmp",
  ovmfVars: "/lab/c1-vars.fd",
  initrd: "/lab/c1-initrd",
};
const BASE = { name: "c1", mac: "52:54:00:77:0A:00" };

function lineOf(spec: Parameters<typeof planQemuArguments>[0], host = HOST): string {
  return planQemuArguments(spec, host, PLACES).join(" ");
}

test("a BIOS machine is emulated with the card's iPXE and its firmware on the serial line", () => {
  expect(lineOf({ ...BASE, firmware: "bios" })).toBe(
    "-accel tcg,thread=multi,tb-size=512 " +
      "-cpu qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+bmi1,+bmi2,+movbe,+abm,+rdrand,+rdseed,+fsgsbase " +
      "-smp 1,sockets=1,cores=1,threads=1 -m 1024 " +
      "-display none -no-user-config -nodefaults -monitor none -rtc base=utc,clock=host " +
      "-chardev socket,id=s0,path=/lab/c1.sock,server=on,wait=off,logfile=/lab/c1.log -serial chardev:s0 " +
      "-qmp unix:/lab/c1.qmp,server=on,wait=off " +
      "-smbios type=1,manufacturer=muster,product=lab,serial=LAB-C1,uuid=77000000-0000-4000-8000-525400770a00 " +
      "-netdev tap,id=n0,ifname=tap3,script=no,downscript=no " +
      "-machine pc,graphics=off -boot n -device virtio-net-pci,netdev=n0,mac=52:54:00:77:0A:00",
  );
});

test("a UEFI machine has the firmware's own PXE and variables of its own", () => {
  const uefi =
    "-machine q35,smm=off -drive if=pflash,unit=0,format=raw,readonly=on,file=/ovmf/CODE.fd " +
    "-drive if=pflash,unit=1,format=raw,file=/lab/c1-vars.fd";
  const card = "-boot n -device virtio-net-pci,netdev=n0,mac=52:54:00:77:0A:00,romfile=";
  expect(lineOf({ ...BASE, firmware: "uefi" })).toMatch(new RegExp(`downscript=no ${uefi} ${card}$`));
  expect(lineOf({ ...BASE, firmware: "uefi-http" })).toMatch(
    new RegExp(`${uefi} -fw_cfg \\S+IPv4PXESupport,string=no -fw_cfg \\S+IPv6PXESupport,string=no ${card}$`),
  );
});

test("topology, identity, memory and direct kernel boot are taken from the machine, KVM from the host", () => {
  const spec = {
    ...BASE,
    ...({ firmware: "direct", sockets: 2, cores: 4, threads: 2, memoryMib: 2048 } as const),
    ...{ serial: "S1", uuid: "11111111-2222-4333-8444-555555555555", exitOnReboot: true },
    ...{ kernel: "/k", initrds: ["/base", "/modules"], append: "console=ttyS0 a=b" },
  };
  const args = planQemuArguments(spec, { ...HOST, hasKvm: true }, PLACES);
  const valueOf = (option: string): string | undefined => args[args.indexOf(option) + 1];
  expect(["-accel", "-cpu", "-smp", "-m", "-smbios", "-kernel", "-initrd", "-append"].map(valueOf)).toEqual([
    ...["kvm", "host", "16,sockets=2,cores=4,threads=2", "2048"],
    "type=1,manufacturer=muster,product=lab,serial=S1,uuid=11111111-2222-4333-8444-555555555555",
    ...["/k", "/lab/c1-initrd", "console=ttyS0 a=b"],
  ]);
  expect(args).toContain("-no-reboot");
});

test("what only QEMU can say is passed on as it is", () => {
  const line = lineOf({
    ...BASE,
    firmware: "bios",
    cores: 8,
    smp: "4,sockets=2,dies=2,cores=1",
    moreArguments: ["-numa", "node"],
  });
  expect(line).toContain(" -smp 4,sockets=2,dies=2,cores=1 -m ");
  expect(line).toMatch(/ -numa node$/);
});
