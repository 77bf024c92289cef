import { isIP, isIPv6 } from "node:net";

/** Words of ip-route(8) that take a value, and what the value must look like. */
const WITH_VALUE: ReadonlyMap<string, RegExp> = new Map(
  Object.entries({
    via: /^/,
    src: /^/,
    dev: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/,
    metric: /^\d{1,10}$/,
    table: /^[A-Za-z0-9_]{1,32}$/,
    mtu: /^\d{1,5}$/,
    advmss: /^\d{1,5}$/,
    scope: /^(global|site|link|host|\d{1,3})$/,
    proto: /^[A-Za-z0-9_]{1,32}$/,
  }),
);
const TYPES = ["unicast", "blackhole", "unreachable", "prohibit", "throw"];
const FIX = "write it as in ip-route(8): 10.2.0.0/16 via 10.1.0.1";

/** Reads a route as ip-route(8) has it, with one blank between words. */
export function parseRoute(
  text: string,
): { readonly value: string } | { readonly what: string; readonly fix?: string } {
  const wrong = (why: string) => ({
    what: `${JSON.stringify(text.slice(0, 80))} is not a route: ${why}`,
    fix: FIX,
  });
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (text.length > 256) return wrong("it is longer than 256 characters");
  const rest = [...words];
  if (TYPES.includes(rest[0] ?? "")) rest.shift();
  const destination = rest.shift();
  if (destination === undefined) return wrong("its destination is missing");
  const family = destination === "default" ? undefined : familyOf(destination);
  if (family === 0) return wrong(`${destination} is neither "default" nor address/length`);
  const seen = new Set<string>();
  let addresses = family;
  while (rest.length > 0) {
    const word = rest.shift() ?? "";
    if (seen.has(word)) return wrong(`${word} is given twice`);
    seen.add(word);
    if (word === "onlink") continue;
    const pattern = WITH_VALUE.get(word);
    const value = rest.shift();
    if (pattern === undefined) return wrong(`${word} is no word of it`);
    if (value === undefined) return wrong(`the value of ${word} is missing`);
    if (word === "via" || word === "src") {
      const version = isIP(value);
      if (version === 0) return wrong(`${value} is not an IP address`);
      if (addresses !== undefined && version !== addresses) return wrong("it mixes IPv4 and IPv6");
      addresses = version;
    } else if (!pattern.test(value)) return wrong(`${value} is not a value of ${word}`);
  }
  return { value: words.join(" ") };
}

/** 4 or 6 for "10.2.0.0/16", "10.2.0.1", "fd00::/64"; 0 for anything else. */
function familyOf(destination: string): number {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(destination) ?? [];
  const family = isIP(address);
  return Number(length ?? 0) <= (isIPv6(address) ? 128 : 32) ? family : 0;
}
