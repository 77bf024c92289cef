import { join } from "node:path";

import { LAB_NETWORK, type Lab } from "../lab/open-lab.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { type Cluster, DIST } from "./cluster.ts";

/** A node of the inventory with the machine that is to boot as it. */
export interface Case {
  readonly name: string;
  readonly mac: string;
  readonly address: string;
}

export function caseOf(number: number): Case {
  const digits = `${number}`.padStart(2, "0");
  return { name: `f0${digits}`, mac: `52:54:00:77:06:${digits}`, address: `10.77.0.${number + 10}` };
}

/** What the boot script of a node says, taken apart. */
export interface BootCommand {
  readonly kernel: string;
  readonly initrds: readonly string[];
  readonly words: readonly string[];
}

/** The boot script as the machine's own firmware would get it: the token in it is bound to the node's address. */
async function fetchBootScript(lab: Lab, { mac, address }: Case): Promise<string> {
  const program = `const [url, localAddress] = process.argv.slice(1);
require("node:http").get(url, { localAddress }, (answer) => answer.pipe(process.stdout));`;
  const url = `http://${LAB_NETWORK.address}:9880/boot/ipxe?mac=${mac}&platform=pcbios&buildarch=x86_64`;
  const run = async (name: string, ...args: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await lab.run({ program: name, args, deadlineMs: 20_000 });
    if (exitCode !== 0) throw new Error(`${name} exited with ${exitCode}: ${stderr}`);
    return stdout;
  };
  await run("ip", "address", "add", `${address}/32`, "dev", LAB_NETWORK.bridge);
  try {
    return await run(process.execPath, "-e", program, url, address);
  } finally {
    await run("ip", "address", "delete", `${address}/32`, "dev", LAB_NETWORK.bridge);
  }
}

function parseBootScript(script: string, stateDirectory: string): BootCommand {
  const [, kernelUrl, words] = /^kernel --name \S+ (\S+) (.*) \|\| goto failed$/m.exec(script) ?? [];
  if (kernelUrl === undefined || words === undefined) throw new Error(`no kernel in the script:\n${script}`);
  const initrds = [...script.matchAll(/^initrd --name \S+ (\S+) /gm)].map(([, url]) => url ?? "");
  return {
    kernel: fileOf(kernelUrl, stateDirectory),
    initrds: initrds.map((url) => fileOf(url, stateDirectory)),
    words: words.split(" ").filter((word) => !word.startsWith("initrd=")),
  };
}

/** Where the controller has what it serves under a URL. */
function fileOf(url: string, stateDirectory: string): string {
  const [, hex] = /\/boot\/blob\/([0-9a-f]{64})\//.exec(url) ?? [];
  const [, base] = /\/boot\/base\/(\S+)$/.exec(url) ?? [];
  return hex === undefined
    ? join(DIST, "artifacts", base ?? "")
    : join(stateDirectory, "blobs/sha256", hex.slice(0, 2), hex);
}

/** Adds the node and returns what its machine would be booted with. */
export async function prepare({ lab, controller }: Cluster, node: Case): Promise<BootCommand> {
  const { name, mac, address } = node;
  await controller.mustMuster(["node", "add", name, "--mac", mac, "--address", address]);
  return parseBootScript(await fetchBootScript(lab, node), controller.stateDirectory);
}

/** A machine that starts this kernel; its restart ends it. */
export function machineFor(
  { lab }: Cluster,
  node: Pick<Case, "name" | "mac">,
  command: BootCommand,
  more: { readonly memoryMib?: number } = {},
): Promise<VirtualMachine> {
  return lab.addMachine({
    name: node.name,
    mac: node.mac,
    firmware: "direct",
    exitOnReboot: true,
    kernel: command.kernel,
    initrds: command.initrds,
    append: command.words.join(" "),
    ...more,
  });
}

/** The command with one word replaced: `muster.ca=` by "muster.ca=0000...". */
export function forge(command: BootCommand, word: string): BootCommand {
  const name = word.replace(/=.*/, "=");
  const words = command.words.filter((one) => !one.startsWith(name));
  if (words.length !== command.words.length - 1) throw new Error(`the command line has no single ${name}`);
  return { ...command, words: [...words, word] };
}
