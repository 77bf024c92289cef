/** CPUs as bits of one integer: bit 3 is CPU 3. Machines have more CPUs than a number has exact bits. */
export type CpuSet = bigint;

export const NO_CPUS: CpuSet = 0n;

/** "0-3,8" as the kernel writes lists of CPUs and nodes (cpuset(7), "List format"). What is no number is left out. */
export function parseCpuList(text: string): CpuSet {
  let set = NO_CPUS;
  for (const part of text.trim().split(",")) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?/.exec(part.trim()) ?? [];
    if (first === undefined || last === undefined || Number(last) < Number(first)) continue;
    const length = BigInt(Number(last) - Number(first) + 1);
    set |= ((1n << length) - 1n) << BigInt(first);
  }
  return set;
}

/** "ff,00000001" as the kernel writes masks: hexadecimal words of 32 bits, highest first (cpuset(7), "Mask format"). */
export function parseCpuMask(text: string): CpuSet {
  let set = NO_CPUS;
  for (const word of text.trim().split(",")) {
    const [, digits] = /^(?:0x)?([0-9a-f]+)/i.exec(word) ?? [];
    set = (set << 32n) | (digits === undefined ? 0n : BigInt(`0x${digits}`));
  }
  return set;
}

/** The numbers in a set, ascending. */
export function listCpus(set: CpuSet): readonly number[] {
  const cpus: number[] = [];
  // As a string of digits, highest bit first: shifting a big integer CPU by CPU copies it each time.
  const digits = set.toString(2);
  for (let index = digits.length - 1; index >= 0; index--) {
    if (digits[index] === "1") cpus.push(digits.length - 1 - index);
  }
  return cpus;
}

export function hasCpu(set: CpuSet, cpu: number): boolean {
  return ((set >> BigInt(cpu)) & 1n) === 1n;
}

/** The set with its lowest member only: comparing two of these orders sets by their first CPU. 0n for the empty one. */
export function firstOf(set: CpuSet): CpuSet {
  return set & -set;
}

export function isIncluded(part: CpuSet, whole: CpuSet): boolean {
  return (part & whole) === part;
}
