import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";

import type { Cluster } from "../e2e/cluster.ts";
import { inNamespace, runIpBatch } from "../lab/network-namespace.ts";
import { LAB_NETWORK } from "../lab/open-lab.ts";
import type { MachineSpec, VirtualMachine } from "../lab/virtual-machine.ts";

const SERVICE = `http://${LAB_NETWORK.address}:9880`;
let made = 0;

/**
 * A machine that starts with the kernel, without firmware and iPXE: what iPXE would have been told is asked for
 * from the address the node will have, since the enrolment token in it is good for that address alone, and once.
 * So: one power-on, soon, of a node with a fixed address.
 */
export async function addDirectMachine(
  { lab }: Cluster,
  spec: Omit<MachineSpec, "firmware" | "kernel" | "initrds" | "append">,
  address: string,
): Promise<VirtualMachine> {
  await runIpBatch(lab.namespacePath, [`address add ${address}/32 dev ${LAB_NETWORK.bridge}`]);
  try {
    const get = async (url: string, name: string): Promise<string> => {
      const path = join(lab.directory, name);
      const args = ["--silent", "--show-error", "--fail", "--interface", address, "--output", path, url];
      await runCommand(inNamespace(lab.namespacePath, "curl", args));
      return path;
    };
    const url = `${SERVICE}/boot/ipxe?mac=${spec.mac}&platform=pcbios&buildarch=x86_64`;
    const { stdout: script } = await runCommand(
      inNamespace(lab.namespacePath, "curl", ["--silent", "--fail", "--interface", address, url]),
    );
    const kernel = /^kernel --name vmlinuz (\S+) (.*) \|\|/m.exec(script);
    const initrds = [...script.matchAll(/^initrd --name (\S+) (\S+)/gm)];
    if (kernel?.[1] === undefined || initrds.length === 0) {
      throw new MusterError({
        code: "command-failed",
        what: `musterd answered with no boot script:\n${script}`,
      });
    }
    made += 1;
    return await lab.addMachine({
      ...spec,
      name: `${spec.name}-${made}`,
      firmware: "direct",
      kernel: await get(kernel[1], `vmlinuz-${made}`),
      initrds: await Promise.all(initrds.map(([, name = "", from = ""]) => get(from, `${name}-${made}`))),
      append: kernel[2] ?? "",
    });
  } finally {
    // Before the machine wants it.
    await runIpBatch(lab.namespacePath, [`address del ${address}/32 dev ${LAB_NETWORK.bridge}`]);
  }
}
