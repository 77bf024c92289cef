import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { type MachineDescription, renderSysfsTree } from "./render-sysfs-tree.ts";

/** Writes /sys and /proc of the described machine below `root`. */
export function writeSysfsTree(root: string, description: MachineDescription): void {
  const files = [...renderSysfsTree(description)];
  for (const directory of new Set(files.map(([path]) => dirname(path)))) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  for (const [path, text] of files) writeFileSync(join(root, path), text);
}
