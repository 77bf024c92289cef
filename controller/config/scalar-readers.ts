import { validate as isCron } from "node-cron";

import { closestWords } from "#proto/contract/closest-words.ts";
import { readMacAddress } from "#proto/contract/mac-address.ts";

import { validateKernelArgument } from "../netboot/validate-kernel-argument.ts";
import { readIpv4, readIpv4Network } from "./ipv4.ts";
import type { ReadResult, ScalarReader } from "./yaml-section.ts";

const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Text that fits a pattern; `wanted` completes "is not ...". */
export function textOf(pattern: RegExp, wanted: string, fix?: string): ScalarReader<string> {
  return (text) => (pattern.test(text) ? { value: text } : problem(`${quoted(text)} is not ${wanted}`, fix));
}

export const readAddress: ScalarReader<string> = (text) =>
  readIpv4(text) === undefined
    ? problem(`${quoted(text)} is not an IPv4 address`, "write four numbers, for example 10.77.0.1")
    : { value: text };

export const readNetwork: ScalarReader<{ readonly address: number; readonly prefix: number }> = (text) => {
  const network = readIpv4Network(text);
  return network === undefined
    ? problem(`${quoted(text)} is not an IPv4 network`, "write address/prefix, for example 10.77.0.0/24")
    : { value: network };
};

export const readDomain = textOf(DNS_NAME, "a domain name");

export const readHostName: ScalarReader<string> = (text) =>
  readIpv4(text) !== undefined || (DNS_NAME.test(text) && !/^[\d.]+$/.test(text))
    ? { value: text }
    : problem(`${quoted(text)} is neither a host name nor an IPv4 address`);

export const readHostPort: ScalarReader<string> = (text) => {
  const [, host, port] = /^([^:]+):(\d{1,5})$/.exec(text) ?? [];
  const fits = host !== undefined && "value" in readHostName(host, host) && isPort(Number(port));
  return fits ? { value: text } : problem(`${quoted(text)} is not host:port`, "for example 10.77.0.2:9881");
};

export const readPort: ScalarReader<number> = (text, parsed) =>
  typeof parsed === "number" && isPort(parsed)
    ? { value: parsed }
    : problem(`${quoted(text)} is not a port`, "use 1 to 65535");

export const readPath: ScalarReader<string> = (text) =>
  text.startsWith("/") && !hasControlCharacter(text) && !text.split("/").includes("..")
    ? { value: text === "/" ? text : text.replace(/\/+$/, "") }
    : problem(`${quoted(text)} is not an absolute path`, "start it with / and leave out ..");

export const readBoolean: ScalarReader<boolean> = (text, parsed) =>
  typeof parsed === "boolean" ? { value: parsed } : problem(`${quoted(text)} is neither true nor false`);

/** Words only the controller says on a kernel command line, after all others: an operator's would do nothing. */
const RESERVED_ARGUMENTS = new Map([
  ["BOOTIF", "is said by the controller alone"],
  ["muster.ca", "is said by the controller alone"],
  ["muster.controllers", "is said by the controller alone"],
  ["muster.kernel", "is said by the controller alone"],
  ["muster.time", "is said by the controller alone"],
  ["muster.token", "is said by the controller alone"],
  ["muster.give_up_after", "is boot.giveUpAfter of muster.yaml"],
  ["muster.reboot_after", "is boot.rebootAfter of muster.yaml"],
]);

/** One word of the kernel command line. */
export const readKernelArgument: ScalarReader<string> = (text) => {
  const wrong = kernelArgumentProblem(text);
  return wrong === undefined ? { value: text } : problem(wrong, "one list element per argument");
};

/**
 * What is wrong with a kernel argument from an operator, if anything: it stands in a boot script, so what iPXE
 * or the kernel would take apart is refused, and so is what the controller says itself.
 */
export function kernelArgumentProblem(text: string): string | undefined {
  const [name = ""] = text.split("=");
  const reserved = RESERVED_ARGUMENTS.get(name);
  if (reserved !== undefined) return `${name} ${reserved}`;
  const wrong = validateKernelArgument(text);
  return wrong === undefined ? undefined : `${quoted(text)} ${wrong}`;
}

/** Whether text holds a control character: those that end lines, hide text or speak to terminals. */
export function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

export function oneOf<const T extends string>(words: readonly T[]): ScalarReader<T> {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return { value: found };
    const [meant] = closestWords(text, words);
    return problem(
      `${quoted(text)} is not one of ${words.join(", ")}`,
      meant === undefined ? undefined : `did you mean ${meant}?`,
    );
  };
}

/** A whole number from `least` to `most`. */
export function numberBetween(least: number, most: number): ScalarReader<number> {
  return (text, parsed) =>
    typeof parsed === "number" && Number.isInteger(parsed) && parsed >= least && parsed <= most
      ? { value: parsed }
      : problem(`${quoted(text)} is not a whole number from ${least} to ${most}`);
}

/** A duration with its unit, "90s", "10m", "24h", "7d", in seconds, between two others. */
export function durationBetween(least: string, most: string): ScalarReader<number> {
  const leastSeconds = readDuration(least) ?? 0;
  const mostSeconds = readDuration(most) ?? Number.MAX_SAFE_INTEGER;
  return (text) => {
    const seconds = readDuration(text);
    if (seconds === undefined) {
      return problem(`${quoted(text)} is not a duration`, "write a number and s, m, h or d, for example 10m");
    }
    return seconds >= leastSeconds && seconds <= mostSeconds
      ? { value: seconds }
      : problem(`${quoted(text)} is not between ${least} and ${most}`);
  };
}

/**
 * A moment that comes again and again, as node-cron has it: five fields, or six with seconds in front. At most once
 * a minute: what nodes do then must not be felt on them.
 */
export const readSchedule: ScalarReader<string> = (text) => {
  const fields = text.trim().split(/\s+/);
  if ((fields.length !== 5 && fields.length !== 6) || !isCron(fields.join(" "))) {
    return problem(
      `${quoted(text)} is not a schedule`,
      'write five fields as in crontab(5), for example "*/5 * * * *"',
    );
  }
  return fields.length === 6 && !/^\d+$/.test(fields[0] ?? "")
    ? problem(`${quoted(text)} comes more than once a minute`, "write one number in the field of seconds")
    : { value: fields.join(" ") };
};

/** The start of a MAC address, whole bytes, in the spelling of MacAddress: "52:54:00". */
export const readMacPrefix: ScalarReader<string> = (text) => {
  const hex = text.toLowerCase().replaceAll(/[:-]/g, "");
  const isWhole = /^([0-9a-f]{2}[:-]?){1,6}$/i.test(text) && hex.length % 2 === 0;
  const bytes = hex.match(/../g) ?? [];
  // completed to a whole address, so that the group bit and the like are judged in one place
  const isInterface =
    readMacAddress([...bytes, "01", "01", "01", "01", "01"].slice(0, 6).join(":")) !== undefined;
  return isWhole && isInterface
    ? { value: bytes.join(":") }
    : problem(
        `${quoted(text)} is not the start of a MAC address`,
        "write whole bytes in hex, for example 52:54:00",
      );
};

/** "10.77.0.100-10.77.0.200". */
export const readRange: ScalarReader<{ readonly start: number; readonly end: number }> = (text) => {
  const [start, end, ...rest] = text.split("-").map((part) => readIpv4(part.trim()));
  return start === undefined || end === undefined || rest.length > 0
    ? problem(
        `${quoted(text)} is not a range of addresses`,
        "write first-last, for example 10.77.0.100-10.77.0.200",
      )
    : { value: { start, end } };
};

function readDuration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

function problem(what: string, fix?: string): ReadResult<never> {
  return { problem: what, ...(fix === undefined ? {} : { fix }) };
}
