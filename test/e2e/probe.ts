import { runCommand } from "#proto/host/run-command.ts";

import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { BOOT_DEADLINE_MS, type Cluster, writeOverlay } from "./cluster.ts";

/**
 * Run on the node once systemd has started everything. Each fact is one write to the console, so that others who write there
 * cannot come in between.
 */
const SCRIPT = `#!/bin/sh
state=$(systemctl is-system-running --wait)
fact() {
	printf 'PROBE %s=%s\\n' "$1" "$(printf %s "$2" | tr '\\n' ' ')" >/dev/ttyS0
}
fact hostname "$(cat /proc/sys/kernel/hostname)"
fact machine-id "$(cat /etc/machine-id)"
fact lib "$(readlink /lib)"
fact through-lib "$(cat /usr/lib/probe.conf)"
fact private "$(stat -c '%a %u %g %s' /opt/probe/private)"
fact set-user-id "$(stat -c '%a %u %g' /opt/probe/set-user-id)"
fact link "$(readlink /opt/probe/link)"
fact capability "$(/sbin/getcap /opt/probe/capable)"
fact deleted "$(ls /etc/issue.net 2>&1)"
fact image-set-user-id "$(stat -c '%a %U %G' /usr/bin/su)"
fact image-set-group-id "$(stat -c '%a %U %G' /usr/bin/chage)"
fact ssh-key "$(sha256sum </etc/ssh/ssh_host_ed25519_key.pub)"
fact ssh-key-mode "$(stat -c '%a %U %G' /etc/ssh/ssh_host_ed25519_key)"
fact ssh-foreign-keys "$(cd /etc/ssh && ls ssh_host_rsa_key ssh_host_dsa_key 2>/dev/null)"
fact root "$(findmnt -n -o FSTYPE /)"
fact cpus "$(nproc)"
fact memory-available-kib "$(sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)"
fact system "$state"
fact failed-units "$(systemctl list-units --failed --plain --no-legend)"
fact agent "$(systemctl is-active muster-agent.service)"
network() {
	networkctl --no-legend list | awk '$3 == "ether" { print $4, $5 }'
}
# The image does not wait for the network before it counts as started.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$(network)" = "routable configured" ] && break
	sleep 1
done
fact network "$(network)"
[ "$(network)" = "routable configured" ] ||
	fact network-trouble "$(journalctl -b -o cat -u systemd-udevd -u systemd-networkd; udevadm info /sys/class/net/eth0)"
fact address "$(ip -4 -o address show scope global | awk '{ print $4 }')"
fact hosts "$(getent hosts "$(cat /proc/sys/kernel/hostname)" | awk '{ print $1 }')"
fact run-muster "$(cd /run/muster && stat -c '%n %a' identity node.json stages.json)"
fact identity "$(cd /run/muster/identity && stat -c '%n %a' *)"
fact identity-readable "$(find /run/muster/identity -perm /077)"
fact leftovers "$(findmnt -rn -o TARGET | grep -c newroot)"
fact end yes
`;

const UNIT = `[Unit]
Description=Says on the console what this node is
After=muster-agent.service

[Service]
# Not oneshot: the script waits for the end of the start-up, which would wait for it.
Type=exec
ExecStart=/usr/lib/muster-probe/facts
`;

/** Writes the overlay "probe": a node that has it prints facts about itself once it is up. */
export async function writeProbeOverlay(cluster: Cluster): Promise<void> {
  const unit = "etc/systemd/system/muster-probe.service";
  const rootfs = await writeOverlay(cluster, "probe", [
    { path: "usr/lib/muster-probe/facts", text: SCRIPT, mode: 0o755 },
    { path: unit, text: UNIT },
    { path: "etc/systemd/system/multi-user.target.wants/muster-probe.service", linkTo: `/${unit}` },
    // A directory where the image has the symbolic link /lib -> usr/lib.
    { path: "lib/probe.conf", text: "through the link\n" },
    { path: "opt/probe/private", text: "12345", mode: 0o640, owner: [1234, 4321] },
    { path: "opt/probe/set-user-id", text: "x", mode: 0o4711, owner: [1234, 4321] },
    { path: "opt/probe/capable", text: "x", mode: 0o755 },
    { path: "opt/probe/link", linkTo: "../../etc/hostname" },
    { path: "etc/.wh.issue.net" },
  ]);
  await runCommand({ program: "setcap", args: ["cap_net_raw=ep", `${rootfs}/opt/probe/capable`] });
}

/** The facts that a node with the overlay "probe" printed in this boot. */
export async function readProbe(machine: VirtualMachine): Promise<Readonly<Record<string, string>>> {
  await machine.waitForConsole("PROBE end=yes", { deadlineMs: BOOT_DEADLINE_MS });
  const found = (await machine.readConsole()).matchAll(/PROBE ([a-z-]+)=(.*)$/gm);
  return Object.fromEntries([...found].map(([, name, value]) => [name ?? "", (value ?? "").trimEnd()]));
}
