import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
} from "node:fs";
import { basename } from "node:path";

// Synchronous on purpose: an inventory reads some thousand files of a few bytes, none of which waits for a disk. Through
// promises each costs five to ten times as much CPU time, and that is time taken from the jobs of the node.

/** A file of /proc or /sys as text, trimmed; undefined when there is none, it is empty, or the kernel has no answer. */
export function readText(path: string): string | undefined {
  try {
    // Some files of a device tree end in NUL.
    const text = readFileSync(path, "utf8").replaceAll("\u0000", "").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}

/** The beginning of a file that can be long, trimmed; undefined as for {@link readText}. */
export function readHead(path: string, bytes: number): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const buffer = Buffer.alloc(bytes);
    let length = 0;
    // The kernel gives a page at a time.
    for (let read = -1; read !== 0 && length < bytes; length += read) {
      read = readSync(file, buffer, length, bytes - length, null);
    }
    return buffer.toString("utf8", 0, length).trim();
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** A file as bytes. */
export function readBytes(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** A file that holds a decimal number (also a negative one); undefined for anything else. */
export function readNumber(path: string): number | undefined {
  const text = readText(path);
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** Names in a directory, in the order people count: nvme2 before nvme10. Empty when there is none. */
export function listNames(path: string): readonly string[] {
  try {
    return readdirSync(path).sort(inPeoplesOrder);
  } catch {
    return [];
  }
}

/** Compares names as people count. Not by locale: the order must be the same on every machine. */
export function inPeoplesOrder(a: string, b: string): number {
  const key = (name: string): string => name.replaceAll(/\d+/g, (digits) => digits.padStart(12, "0"));
  const [x, y] = [key(a), key(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** The last component of what a link points to: the driver of a device. */
export function readLinkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}

/** Where a path really is; undefined when it is nowhere. */
export function resolvePath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

const PCI_ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** The PCI function that a device hangs on, from its directory in /sys: the last one on the way to it. */
export function pciAddressOf(path: string): string | undefined {
  return resolvePath(path)
    ?.split("/")
    .findLast((part) => PCI_ADDRESS.test(part));
}

/** Drops what is undefined: absent is how a report says that nothing tells. */
export function known<T extends object>(values: T): { readonly [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
