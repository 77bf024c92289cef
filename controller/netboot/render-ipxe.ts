import { type BootService, startScriptUrl } from "./boot-clients.ts";
import type { BootScript } from "./plan-boot-script.ts";

const TRY_AFTER_SECONDS = 6;

/**
 * The script every iPXE starts with: it asks for the machine's own by what iPXE knows of it. `netX` is the interface
 * iPXE booted from. A failed line ends an iPXE script and leaves the machine to its firmware, so each has an
 * alternative.
 *
 * It goes on for ever, and never restarts the machine: while musterd is down dnsmasq may be down too, and a machine
 * that then starts over finds no DHCP server and boots from its disk. Nor does it ask DHCP again: a `dhcp` that fails
 * closes the interface, and then nothing is reachable any more (seen with iPXE 1.0.0+git-20190125).
 */
export function renderStartScript(service: BootService): string {
  const url = `${urlOf(service)}/boot/ipxe?mac=\${netX/mac}&uuid=\${uuid}&serial=\${serial:uristring}&platform=\${platform}&buildarch=\${buildarch}`;
  const lines = [
    "#!ipxe",
    ":start",
    `chain --replace --autofree ${url} || echo muster: ${service.address}:${service.port} does not answer, trying again`,
    `sleep ${TRY_AFTER_SECONDS} ||`,
    "goto start",
  ];
  return `${lines.join("\n")}\n`;
}

/** The script of one machine. Every line is one planned here, whatever the plan's texts hold. */
export function renderIpxe(script: BootScript, service: BootService): string {
  const base = urlOf(service);
  // Not by a restart of the machine: see renderStartScript.
  const again = [
    ":again",
    `sleep ${script.retryAfterSeconds} ||`,
    `chain --replace --autofree ${startScriptUrl(service)} ||`,
    `chain --replace --autofree ${base}/boot/start.ipxe ||`,
    "goto again",
  ];
  const banner = script.banner.map((text) => `echo ${renderEcho(text)}`);
  if (script.do === "wait") {
    return lines([
      "#!ipxe",
      ...banner,
      `echo muster: trying again in ${script.retryAfterSeconds} s`,
      ...again,
    ]);
  }
  return lines([
    "#!ipxe",
    ...banner,
    "imgfree ||",
    `kernel --name ${script.kernel.name} ${base}${script.kernel.path} ${script.arguments.map(renderKernelWord).join(" ")} || goto failed`,
    ...script.initramfs.map((file) => `initrd --name ${file.name} ${base}${file.path} || goto failed`),
    "boot || goto failed",
    ":failed",
    `echo muster: the kernel could not be loaded or started, trying again in ${script.retryAfterSeconds} s`,
    ...again,
  ]);
}

/**
 * A kernel argument that `validateKernelArgument` lets pass, as iPXE hands it on unchanged. Operators and comments
 * are recognised before settings are expanded, so a setting that does not exist, and therefore expands to nothing,
 * in front of a word makes it an ordinary word.
 */
function renderKernelWord(argument: string): string {
  return argument
    .split(" ")
    .map((word) => (/^(#.*|&&|\|\||;)$/.test(word) || word.endsWith("\\") ? shield(word) : word))
    .join(" ");
}

const NOTHING = "${muster-nothing}";

/** At both ends, because a "\" that ends a line would join it with the next. */
function shield(word: string): string {
  return `${NOTHING}${word}${NOTHING}`;
}

/** Text for the console: what iPXE could take for more than text becomes "?" (there is nothing to be restored). */
function renderEcho(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/[^\x20-\x7e]|[$\\]/g, "?")
    .replaceAll(/(^| )(?:#|&&|\|\||;)/g, "$1?")
    .slice(0, 300);
}

function urlOf(service: BootService): string {
  return `http://${service.address}:${service.port}`;
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
