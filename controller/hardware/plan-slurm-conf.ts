import type { HardwareReport, SlurmHardware } from "#proto/contract/hardware-report.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";

type Gres = SlurmHardware["gres"][number];

/** Nodes of the same hardware, as Slurm counts hardware. */
export interface SlurmNodes {
  /** Folded as Slurm reads it: "c[001-064]". */
  readonly nodes: string;
  readonly hardware: Omit<SlurmHardware, "gres">;
  readonly gres: readonly Gres[];
}

/**
 * Puts nodes together that get the same lines in slurm.conf and gres.conf, in the order of their first names.
 * `memoryStepMib` rounds RealMemory down to a multiple of it, so that nodes whose firmware keeps a few MiB more than
 * that of others are the same hardware.
 */
export function planSlurmConf(
  machines: readonly { readonly node: string; readonly report: Pick<HardwareReport, "slurm"> }[],
  memoryStepMib: number,
): readonly SlurmNodes[] {
  const groups = new Map<string, { readonly names: string[]; readonly slurm: SlurmHardware }>();
  for (const { node, report } of machines.toSorted((a, b) => compareNodeNames(a.node, b.node))) {
    const realMemoryMib = Math.floor(report.slurm.realMemoryMib / memoryStepMib) * memoryStepMib;
    const slurm = { ...report.slurm, realMemoryMib };
    const key = [...numbersOf(slurm), ...slurm.gres.map(({ type, count, files }) => [type, count, files])];
    const group = groups.get(JSON.stringify(key));
    if (group === undefined) groups.set(JSON.stringify(key), { names: [node], slurm });
    else group.names.push(node);
  }
  return [...groups.values()].map(({ names, slurm: { gres, ...hardware } }) => ({
    nodes: foldForSlurm(names),
    hardware,
    gres,
  }));
}

/**
 * A host list of slurm.conf(5). Seen with slurmd 22.05: brackets may stand anywhere, but unless the last thing of a
 * name is one, "unit[0-3]rack1" is "Unable to create NodeAddr list", and "unit[0-3]rack[1]" is right. Names that end in
 * a letter cannot be folded at all.
 */
export function foldForSlurm(names: readonly string[]): string {
  const isNumbered = (name: string): boolean => /\d$/.test(name);
  const items = foldNodeSet(names.filter(isNumbered)).match(/(?:[^,[]|\[[^\]]*\])+/g) ?? [];
  return [
    ...items.map((item) => (item.includes("[") ? item.replace(/\d+$/, "[$&]") : item)),
    ...names.filter((name) => !isNumbered(name)),
  ].join(",");
}

/**
 * The lines for slurm.conf(5) and gres.conf(5). What a site decides itself is said in a comment and not made up:
 * partitions, weights, features. `partitions` are PartitionName lines, where somebody wanted them.
 */
export function renderSlurmConf(groups: readonly SlurmNodes[], partitions = ""): string {
  const gpus = groups.filter(({ gres }) => gres.length > 0);
  return [
    "# slurm.conf",
    `# missing here: ${partitions === "" ? "PartitionName lines; " : ""}NodeAddr, where Slurm cannot resolve a node's name; Weight, Feature`,
    ...(gpus.length === 0 ? [] : ["GresTypes=gpu"]),
    ...groups.map(renderNodeLine),
    ...(partitions === "" ? [] : [partitions.trimEnd()]),
    ...(gpus.length === 0
      ? []
      : [
          "",
          "# gres.conf",
          "# missing here: Cores and Links; AutoDetect=nvml (or rsmi) finds them and takes the place of these lines",
          ...gpus.flatMap(({ nodes, gres }) => gres.map((one) => renderGresLine(nodes, one))),
        ]),
    "",
  ].join("\n");
}

function renderNodeLine({ nodes, hardware, gres }: SlurmNodes): string {
  const [cpus, boards, sockets, cores, threads, memory] = numbersOf(hardware);
  const words = gres.map(({ name, type, count }) =>
    [name, type, count].filter((w) => w !== undefined).join(":"),
  );
  return [
    `NodeName=${nodes} CPUs=${cpus} Boards=${boards} SocketsPerBoard=${sockets}`,
    `CoresPerSocket=${cores} ThreadsPerCore=${threads} RealMemory=${memory}`,
    ...(words.length === 0 ? [] : [`Gres=${words.join(",")}`]),
  ].join(" ");
}

function renderGresLine(nodes: string, { name, type, count, files }: Gres): string {
  return [
    `NodeName=${nodes} Name=${name}`,
    ...(type === undefined ? [] : [`Type=${type}`]),
    // With File, Slurm counts the devices itself.
    files === "" ? `Count=${count}` : `File=${files}`,
  ].join(" ");
}

function numbersOf(
  slurm: Omit<SlurmHardware, "gres">,
): readonly [number, number, number, number, number, number] {
  const { cpus, boards, socketsPerBoard, coresPerSocket, threadsPerCore, realMemoryMib } = slurm;
  return [cpus, boards, socketsPerBoard, coresPerSocket, threadsPerCore, realMemoryMib];
}
