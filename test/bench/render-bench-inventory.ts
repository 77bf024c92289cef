const NODES_PER_RACK = 100;

/**
 * Text of an inventory as a site of this size has it: a profile of all, one for each rack, one for each tenth rack with GPUs; of its
 * own each node has profiles, a MAC, an address and a tag.
 */
export function renderBenchInventory(nodes: number): string {
  const racks = Math.ceil(nodes / NODES_PER_RACK);
  const profiles = [
    '  base:\n    kernelArguments:\n      - quiet\n    tags:\n      site: "north"\n    devices:\n      eno1:\n        netmask: 255.255.0.0\n        mtu: 9000\n',
    '  gpu:\n    profiles:\n      - base\n    tags:\n      gpus: "4"\n',
    ...Array.from(
      { length: racks },
      (_, rack) => `  rack${rack}:\n    tags:\n      row: "${Math.floor(rack / 10)}"\n`,
    ),
  ];
  const lines = Array.from({ length: nodes }, (_, index) => {
    const rack = Math.floor(index / NODES_PER_RACK);
    const [high, low] = [Math.floor(index / 250), (index % 250) + 1];
    const mac = [index >> 8, index & 255].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    return (
      `  c${String(index + 1).padStart(5, "0")}:\n    profiles:\n      - ${rack % 10 === 0 ? "gpu" : "base"}\n      - rack${rack}\n` +
      `    devices:\n      eno1:\n        mac: "52:54:00:00:${mac}"\n        address: 10.78.${high}.${low}\n    tags:\n      rack: "${index}"\n`
    );
  });
  return `profiles:\n${profiles.join("")}nodes:\n${lines.join("")}`;
}
