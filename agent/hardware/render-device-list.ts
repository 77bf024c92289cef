import { renderCpuList } from "./render-cpu-list.ts";

/**
 * Device files in the list form of Slurm (gres.conf(5), "File"): /dev/nvidia0 to /dev/nvidia3 become
 * "/dev/nvidia[0-3]". The order given does not matter; files of different names are joined with commas.
 */
export function renderDeviceList(files: readonly string[]): string {
  const numbers = new Map<string, number[]>();
  const others: string[] = [];
  for (const file of files) {
    // A leading zero would be lost: such a name stays as it is.
    const [, stem, digits] = /^(.*?\D)(0|[1-9]\d*)$/.exec(file) ?? [];
    if (stem === undefined || digits === undefined) others.push(file);
    else numbers.set(stem, [...(numbers.get(stem) ?? []), Number(digits)]);
  }
  const lists = [...numbers].map(([stem, found]) => {
    const list = renderCpuList(found.toSorted((a, b) => a - b));
    return /[,-]/.test(list) ? `${stem}[${list}]` : `${stem}${list}`;
  });
  return [...lists, ...others].join(",");
}
