import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, it } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { startController } from "../lab/controller-process.ts";
import { makeDebianTree } from "../lab/debian-image.ts";
import { openLab } from "../lab/open-lab.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ADDRESS = "10.77.0.30";
const MAC = "52:54:00:77:e0:01";

/** What the machine is asked once its muster runs, each answer a line on the console. */
const QUESTIONS = `#!/bin/sh
# The console belongs to everybody; only lines with this word are answers.
say() { echo "PROBE $*" > /dev/console; }
for unit in musterd muster-dnsmasq; do
  # Only when it is not as it should be: why.
  [ "$(systemctl is-active $unit)" = active ] || journalctl -u $unit -n 20 -o cat --no-pager > /dev/console
  say "$unit $(systemctl is-active $unit) restarts=$(systemctl show -P NRestarts $unit)"
  pid=$(systemctl show -P MainPID $unit)
  say "$unit user=$(stat -c %U /proc/$pid) effective=$(sed -n 's/^CapEff:\\t//p' /proc/$pid/status)"
done
say "state $(stat -c '%U %a' /var/lib/muster)"
say "key $(stat -c '%U %a' /var/lib/muster/authority/authority.key)"
say "nodes $(muster node add c001 --mac 52:54:00:00:00:01 --address 10.77.0.99 >/dev/null 2>&1; muster node list c001 -o json | tr -d ' \\n' | grep -o '"name":"c001"')"
say "tftp $(ss -Hlun sport = :69 | grep -c 10.77.0.30)"
kill -9 $(systemctl show -P MainPID musterd)
for i in $(seq 60); do
  sleep 1
  [ "$(systemctl is-active musterd)" = active ] && break
done
say "after-kill $(systemctl is-active musterd) $(muster node list c001 -o json | tr -d ' \\n' | grep -o '"name":"c001"')"
say done
`;

const PROBE_UNIT = `[Unit]
After=musterd.service muster-dnsmasq.service muster-agent.service
Wants=musterd.service
[Service]
Type=oneshot
ExecStart=/usr/local/bin/probe
[Install]
WantedBy=multi-user.target
`;

const CONFIG = `controller:
  address: ${ADDRESS}
network:
  subnet: 10.77.0.0/24
dhcp:
  mode: external
  supervisor: systemd
`;

async function makeHeadTree(tree: string): Promise<void> {
  const base = await makeDebianTree(ROOT, {
    morePackages: ["dnsmasq-base", "ipxe", "squashfs-tools", "acl", "attr"],
  });
  await chmod(tree, 0o755);
  await runCommand({ program: "cp", args: ["-a", "--reflink=auto", `${base}/.`, tree] });
  await runCommand({
    program: "sh",
    args: [join(ROOT, "packaging/install.sh")],
    env: { ...process.env, DESTDIR: tree },
  });
  await writeFile(join(tree, "etc/muster/muster.yaml"), CONFIG);
  await writeFile(join(tree, "usr/local/bin/probe"), QUESTIONS);
  await chmod(join(tree, "usr/local/bin/probe"), 0o755);
  await writeFile(join(tree, "etc/systemd/system/probe.service"), PROBE_UNIT);
  await runCommand({ program: "chroot", args: [tree, "systemd-sysusers"] });
  const wants = join(tree, "etc/systemd/system/multi-user.target.wants");
  await mkdir(wants, { recursive: true });
  await symlink("../probe.service", join(wants, "probe.service"));
  for (const unit of ["musterd", "muster-dnsmasq"]) {
    await symlink(`/usr/lib/systemd/system/${unit}.service`, join(wants, `${unit}.service`));
  }
}

it("an installed musterd runs under its hardened units, unprivileged, ready when it says so, and comes back after kill -9", async () => {
  const work = await mkdtemp(join(tmpdir(), "muster-head-"));
  try {
    await makeHeadTree(work);
    await using lab = await openLab({ name: "head" });
    const controller = await startController(lab, { dist: join(ROOT, "dist") });
    await controller.mustMuster(["image", "import", work, "--name", "head"]);
    await controller.mustMuster(["node", "add", "head2", "--mac", MAC, "--address", ADDRESS]);
    const machine = await lab.addMachine({
      name: "head2",
      mac: MAC,
      firmware: "bios",
      cores: 2,
      memoryMib: 2048,
    });
    await machine.powerOn();
    await machine.waitForConsole("PROBE done", { deadlineMs: 180_000 });
    const answers = (await machine.readConsole())
      .split(/\r?\n/)
      .flatMap((line) => /PROBE (.*)$/.exec(line)?.[1]?.trim() ?? []);
    expect(answers).toEqual([
      "musterd active restarts=0",
      "musterd user=muster effective=0000000000000000",
      "muster-dnsmasq active restarts=0",
      "muster-dnsmasq user=muster effective=0000000000003400",
      "state muster 700",
      "key muster 600",
      'nodes "name":"c001"',
      "tftp 1",
      'after-kill active "name":"c001"',
      "done",
    ]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
});
