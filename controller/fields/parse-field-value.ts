import { isIPv6 } from "node:net";

import { closestWords } from "#proto/contract/closest-words.ts";
import { readMacAddress } from "#proto/contract/mac-address.ts";

import { formatIpv4, readIpv4 } from "../config/ipv4.ts";
import { hasControlCharacter, kernelArgumentProblem } from "../config/scalar-readers.ts";
import type { FieldKind } from "./field-table.ts";
import { parseRoute } from "./parse-route.ts";

/** A value as fields keep it, or what is wrong with what was given. */
export type ParsedValue<T = string | number | boolean> =
  | { readonly value: T }
  | { readonly what: string; readonly fix?: string };

/** Kinds whose value is one scalar. */
export type ScalarKind = Exclude<FieldKind, { readonly kind: "list" | "tags" | "tree" }>;
export type ElementKind = Extract<FieldKind, { readonly kind: "list" }>["of"];

/** Names of images and of overlays. */
export const IMAGE_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** Names of profiles: words in lists, where "~" in front of them means something, and files in exports. */
export const PROFILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/;
/** Names of devices in the inventory. */
export const DEVICE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._:-]{0,62}$/;
const TEMPLATE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** dev_valid_name() of the kernel refuses "/", ":" and blanks; the name also becomes a file name. IFNAMSIZ of linux/if.h is 16. */
export const INTERFACE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const INFINIBAND_ADDRESS = /^[0-9a-f]{2}(:[0-9a-f]{2}){19}$/;
/** Volume id of a FAT file system. */
const FAT_ID = /^[0-9a-f]{4}-[0-9a-f]{4}$/;
const LINE_LENGTH = 256;
const PATH_LENGTH = 1024;
const BOOLEAN_WORDS = new Map([
  ...["true", "yes", "on", "1", "t", "y"].map((word) => [word, true] as const),
  ...["false", "no", "off", "0", "f", "n"].map((word) => [word, false] as const),
]);
const UNITS = ["", "K", "M", "G", "T", "P"];

/** Reads a scalar; numbers, booleans and sizes may be given as text, because YAML and options give text. */
export function parseScalar(type: ScalarKind, given: unknown): ParsedValue {
  if (typeof given !== "string") {
    const isFit =
      type.kind === "boolean"
        ? typeof given === "boolean" || given === 1 || given === 0
        : (type.kind === "integer" || type.kind === "size" || type.kind === "netmask") &&
          typeof given === "number";
    return isFit
      ? parseText(type, String(given))
      : {
          what: `must be ${wanted(type)}, not ${describe(given)}`,
          // A message must not repeat a secret.
          ...(type.kind === "secret" ? { fix: "write it in quotes" } : fixOf(given)),
        };
  }
  if (!isClean(given)) {
    return { what: `${type.kind === "secret" ? "it" : quoted(given)} holds control characters` };
  }
  return parseText(type, type.kind === "line" || type.kind === "secret" ? given : given.trim());
}

/** Reads an element of a list; "~x" is x that is taken out. */
export function parseElement(of: ElementKind, given: unknown): ParsedValue<string> {
  if (typeof given !== "string") {
    return { what: `must be text, not ${describe(given)}`, ...fixOf(given) };
  }
  const text = given.trim();
  if (!isClean(text)) return { what: `${quoted(text)} holds control characters` };
  const mark = text.startsWith("~") ? "~" : "";
  const parsed = parseNamed(of, text.slice(mark.length));
  return "value" in parsed ? { value: `${mark}${parsed.value}` } : parsed;
}

/** A text of at most so many characters without control characters. */
export function parseLine(text: string, most = LINE_LENGTH): ParsedValue<string> {
  if (text.length > most) return { what: `is longer than ${most} characters` };
  return isClean(text) ? { value: text } : { what: "holds control characters" };
}

/** Whether text is whole (no half of a surrogate pair) and holds no control characters. */
function isClean(text: string): boolean {
  return !hasControlCharacter(text) && text.isWellFormed();
}

/** For messages: the text in quotes, cut where it is long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

/** What a value that is no text is, for messages. */
export function describe(given: unknown): string {
  if (Array.isArray(given)) return "a list";
  if (typeof given === "object") return given === null ? "nothing" : "a map";
  return typeof given === "boolean" ? "true or false" : `a ${typeof given}`;
}

/** YAML reads 0042 and 6.10 as numbers, which have lost their text. */
export function quoteFix(given: unknown): string | undefined {
  return typeof given === "number" || typeof given === "boolean"
    ? `write it in quotes: "${String(given)}"`
    : undefined;
}

function fixOf(given: unknown): { readonly fix?: string } {
  const fix = quoteFix(given);
  return fix === undefined ? {} : { fix };
}

function parseNamed(of: ElementKind, text: string): ParsedValue<string> {
  switch (of) {
    case "profile":
      return matching(text, PROFILE_NAME, "the name of a profile");
    case "overlay":
      return matching(text, IMAGE_NAME, "the name of an overlay");
    case "argument": {
      const wrong = kernelArgumentProblem(text);
      return wrong === undefined
        ? { value: text }
        : { what: wrong, ...(text.includes(" ") ? { fix: "one list element per argument" } : {}) };
    }
    case "address": {
      const parsed = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
      return "value" in parsed ? parsed : { what: `${quoted(text)} is not an IP address` };
    }
    case "line":
      return text === "" ? { what: "is empty", fix: "leave it out" } : parseLine(text);
    case "route":
      return parseRoute(text);
  }
}

function parseText(type: ScalarKind, text: string): ParsedValue {
  switch (type.kind) {
    case "boolean":
      return parseBoolean(text);
    case "integer":
      return parseInteger(text, type.min, type.max);
    case "size":
      return parseSize(text, type.min);
    case "line":
      return parseLine(text, type.most);
    case "secret":
      return parseLine(text);
    case "name":
      return parseName(type.of, text);
    case "path":
      return parsePath(text, type.words ?? []);
    case "interface":
      return matching(text, INTERFACE_NAME, "the name of a network interface");
    case "word":
      return parseWord(text, type.words);
    case "mac":
      return type.octets === 20 ? parseInfinibandAddress(text) : parseMac(text);
    case "ipv4":
      return parseIpv4(text);
    case "netmask":
      return parseNetmask(text);
    case "ipv6":
      return parseIpv6(text);
    case "guid":
      return parseGuid(text.toLowerCase(), type.fat === true);
  }
}

function parseMac(text: string): ParsedValue {
  const mac = readMacAddress(text);
  return mac === undefined
    ? {
        what: `${quoted(text)} is not the MAC address of an interface`,
        fix: "write six bytes in hex: 52:54:00:12:34:56",
      }
    : { value: mac };
}

/** 20 bytes of hex with colons or dashes between: flags, queue pair, GID of the port (RFC 4391 section 9.1.1). */
function parseInfinibandAddress(text: string): ParsedValue {
  const value = text.toLowerCase().replaceAll("-", ":");
  return INFINIBAND_ADDRESS.test(value)
    ? { value }
    : {
        what: `${quoted(text)} is not the hardware address of an InfiniBand port`,
        fix: "write its 20 bytes in hex, as ip link shows them",
      };
}

function parseName(of: "image" | "template" | "device", text: string): ParsedValue {
  if (of === "image") return matching(text, IMAGE_NAME, "the name of an image");
  if (of === "device") return matching(text, DEVICE_NAME, "the name of a device");
  return text.startsWith("/") ? parsePath(text, []) : matching(text, TEMPLATE_NAME, "the name of a template");
}

function parseBoolean(text: string): ParsedValue {
  const value = BOOLEAN_WORDS.get(text.toLowerCase());
  return value === undefined
    ? { what: `${quoted(text)} is neither true nor false`, fix: "write true or false" }
    : { value };
}

function parseInteger(text: string, min: number, max: number): ParsedValue {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max
    ? { value }
    : { what: `${quoted(text)} is not a whole number from ${min} to ${max}` };
}

/** Bytes, or a number and a unit of 1024: "8G", "8GiB", "512M", "1.5T". */
function parseSize(text: string, min: number): ParsedValue {
  const [, number, unit = ""] = /^(\d{1,16}(?:\.\d{1,3})?)\s*(?:([KMGTP])(?:i?B)?|B)?$/i.exec(text) ?? [];
  const bytes = Math.round(Number(number) * 1024 ** UNITS.indexOf(unit.toUpperCase()));
  if (number === undefined || !Number.isSafeInteger(bytes)) {
    return { what: `${quoted(text)} is not a size`, fix: "write bytes, or a number and a unit: 8G" };
  }
  return bytes < min ? { what: `${quoted(text)} is less than ${min / 1024 ** 2} MiB` } : { value: bytes };
}

function parsePath(text: string, words: readonly string[]): ParsedValue {
  if (words.includes(text)) return { value: text };
  return text.startsWith("/") && text.length <= PATH_LENGTH && !text.split("/").includes("..")
    ? { value: text === "/" ? text : text.replace(/\/+$/, "") }
    : { what: `${quoted(text)} is not an absolute path`, fix: "start it with / and leave out .." };
}

function parseWord(text: string, words: readonly string[]): ParsedValue {
  if (words.includes(text)) return { value: text };
  const [meant] = closestWords(text, words);
  return {
    what: `${quoted(text)} is not one of ${words.join(", ")}`,
    ...(meant === undefined ? {} : { fix: `did you mean ${meant}?` }),
  };
}

/** Of a host: neither 0/8, loopback, multicast nor reserved (RFC 6890). */
function parseIpv4(text: string): ParsedValue<string> {
  const address = readIpv4(text);
  const first = (address ?? 0) >>> 24;
  if (address !== undefined && first !== 0 && first !== 127 && first < 224) return { value: text };
  return {
    what: `${quoted(text)} is not the IPv4 address of a host`,
    ...(text.includes("/") ? { fix: "write the address alone, and the network's mask as netmask" } : {}),
  };
}

/** Dotted, or the length of the prefix: 255.255.255.0, 24, /24. */
export function parseNetmask(text: string): ParsedValue {
  const length = /^\/?(\d{1,2})$/.exec(text)?.[1];
  if (length !== undefined && Number(length) >= 1 && Number(length) <= 32) {
    return { value: formatIpv4((0xffffffff << (32 - Number(length))) >>> 0) };
  }
  const mask = readIpv4(text);
  return mask !== undefined && mask !== 0 && /^1+0*$/.test(mask.toString(2).padStart(32, "0"))
    ? { value: text }
    : { what: `${quoted(text)} is not a netmask, for example 255.255.255.0` };
}

/** In the spelling of RFC 5952. */
function parseIpv6(text: string): ParsedValue<string> {
  if (!isIPv6(text) || text.includes("%")) {
    return {
      what: `${quoted(text)} is not an IPv6 address`,
      ...(text.includes("/") ? { fix: "write the address alone, and its length as prefixLength6" } : {}),
    };
  }
  const value = new URL(`http://[${text}]`).hostname.slice(1, -1);
  return value === "::" || value === "::1" || value.startsWith("ff")
    ? { what: `${quoted(text)} is not the IPv6 address of a host` }
    : { value };
}

function parseGuid(text: string, isFatAllowed: boolean): ParsedValue {
  return GUID.test(text) || (isFatAllowed && FAT_ID.test(text))
    ? { value: text }
    : { what: `${quoted(text)} is not a GUID`, fix: "write it as 0fc63daf-8483-4772-8e79-3d69d8477de4" };
}

function matching(text: string, pattern: RegExp, wantedName: string): ParsedValue<string> {
  return pattern.test(text) ? { value: text } : { what: `${quoted(text)} is not ${wantedName}` };
}

function wanted(type: ScalarKind): string {
  return type.kind === "boolean" ? "true or false" : type.kind === "integer" ? "a whole number" : "text";
}
