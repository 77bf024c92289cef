import fc from "fast-check";
import { expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { ImageVersion } from "../inventory/inventory.ts";
import { testConfig } from "./netboot-test-lab.ts";
import { type BootFacts, type BootScript, planBootScript } from "./plan-boot-script.ts";
import { renderIpxe, renderStartScript } from "./render-ipxe.ts";
import { validateKernelArgument } from "./validate-kernel-argument.ts";

const SERVICE = { address: "10.77.0.1", port: 9880 };
const VERSION: ImageVersion = {
  image: "debian12",
  version: 3,
  kernelRelease: "6.1.0-25-amd64",
  architecture: "x86_64",
  features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
  kernel: { digest: digestOfHex("a".repeat(64)), sizeBytes: 1 },
  modules: { digest: digestOfHex("b".repeat(64)), sizeBytes: 1 },
  layers: [],
  createdAt: new Date(0),
  source: "test",
};

function facts(more: Partial<BootFacts> = {}): BootFacts {
  return {
    machine: {
      mac: parseMacAddress("52:54:00:00:00:01"),
      uuid: "u",
      serial: "s",
      platform: "pcbios",
      buildArchitecture: "i386",
    },
    node: { name: parseNodeName("c001"), kernelArguments: ["quiet"] },
    image: { found: true, version: VERSION },
    token: "t0ken",
    config: {
      ...testConfig("/x"),
      boot: { kernelArguments: ["console=ttyS0"], giveUpAfterSeconds: 600, rebootAfterSeconds: 30 },
    },
    authorityFingerprint: "f".repeat(64),
    now: new Date(1_800_000_000_000),
    ...more,
  };
}

/**
 * iPXE's own reading of a script (src/image/script.c process_script, src/core/exec.c system, src/core/settings.c
 * expand_settings): commands of each line as words after expansion, with the operator that follows. Settings of
 * the machine expand to `<name>`, which no planned text holds; the one that is not set expands to nothing.
 */
function readAsIpxe(script: string): string[][] {
  const commands: string[][] = [];
  let joined = "";
  for (const raw of script.replace(/\n$/, "").split("\n")) {
    joined += raw.replace(/\r$/, "");
    if (joined.endsWith("\\")) {
      joined = joined.slice(0, -1);
      continue;
    }
    const line = joined.replace(/^[ \f\n\r\t\v]+/, "");
    joined = "";
    if (line.startsWith(":")) {
      commands.push([line]);
      continue;
    }
    let words: string[] = [];
    for (const token of line.split(/[ \f\n\r\t\v]+/).filter((word) => word !== "")) {
      if (token.startsWith("#")) break;
      if (["&&", "||", ";"].includes(token)) {
        commands.push(words);
        words = [token];
      } else words.push(expand(token));
    }
    if (words.length > 0) commands.push(words);
  }
  return commands;
}

function expand(token: string): string {
  for (let text = token; ; ) {
    const opened = text.indexOf("${");
    const end = opened < 0 ? -1 : text.indexOf("}", opened);
    if (end < 0) return text;
    const start = text.slice(0, end).lastIndexOf("${");
    const name = text.slice(start + 2, end);
    text = text.slice(0, start) + (name === "muster-nothing" ? "" : `<${name}>`) + text.slice(end + 1);
  }
}

function wanted(script: BootScript): string[][] {
  const url = "http://10.77.0.1:9880";
  const again = [
    [":again"],
    ["sleep", "30"],
    ["||"],
    ["chain", "--replace", "--autofree", "tftp://10.77.0.1/start.ipxe"],
    ["||"],
    ["chain", "--replace", "--autofree", `${url}/boot/start.ipxe`],
    ["||"],
    ["goto", "again"],
  ];
  if (script.do === "wait") return [["echo", "muster:", "trying", "again", "in", "30", "s"], ...again];
  const orFailed = ["||", "goto", "failed"];
  return [
    ["imgfree"],
    ["||"],
    [
      "kernel",
      "--name",
      "vmlinuz",
      url + script.kernel.path,
      ...script.arguments.flatMap((word) => word.split(" ")),
    ],
    orFailed,
    ...script.initramfs.flatMap((file) => [["initrd", "--name", file.name, url + file.path], orFailed]),
    ["boot"],
    orFailed,
    [":failed"],
    "echo muster: the kernel could not be loaded or started, trying again in 30 s".split(" "),
    ...again,
  ];
}

test("a known node gets its kernel, both archives, and muster's arguments last", () => {
  expect(renderIpxe(planBootScript(facts()), SERVICE)).toBe(`#!ipxe
echo muster: c001 (52:54:00:00:00:01) boots debian12 version 3, kernel 6.1.0-25-amd64
imgfree ||
kernel --name vmlinuz http://10.77.0.1:9880/boot/blob/${"a".repeat(64)}/vmlinuz initrd=base.img initrd=modules.img panic=30 console=ttyS0 quiet muster.controllers=10.77.0.1:9881 muster.ca=${"f".repeat(64)} muster.token=t0ken muster.kernel=sha256:${"a".repeat(64)} BOOTIF=01-52-54-00-00-00-01 muster.time=1800000000 muster.give_up_after=600 muster.reboot_after=30 || goto failed
initrd --name base.img http://10.77.0.1:9880/boot/base/base-zstd.cpio || goto failed
initrd --name modules.img http://10.77.0.1:9880/boot/blob/${"b".repeat(64)}/modules.img || goto failed
boot || goto failed
:failed
echo muster: the kernel could not be loaded or started, trying again in 30 s
:again
sleep 30 ||
chain --replace --autofree tftp://10.77.0.1/start.ipxe ||
chain --replace --autofree http://10.77.0.1:9880/boot/start.ipxe ||
goto again
`);
});

test("a machine nobody knows gets the same kernel and no token", () => {
  const { machine, image, config, authorityFingerprint, now } = facts();
  const text = renderIpxe(planBootScript({ machine, image, config, authorityFingerprint, now }), SERVICE);
  expect(text).not.toContain("muster.token");
  expect(text).not.toContain("quiet");
  expect(text).toContain("echo muster: nobody knows this machine yet; it boots to wait for approval");
  expect(text).toContain(`/boot/blob/${"a".repeat(64)}/vmlinuz`);
});

test.each([
  ["zstd", "zstd", "base-zstd.cpio"],
  ["zstd", "xz", "base-gzip.cpio"],
  ["gzip", "zstd", "base-gzip.cpio"],
  ["xz", "xz", "base-gzip.cpio"],
] as const)(
  "a kernel with initramfs %s and squashfs %s gets %s",
  (initramfsCompression, squashfsCompression, file) => {
    const version = { ...VERSION, features: { initramfsCompression, squashfsCompression } };
    const script = planBootScript(facts({ image: { found: true, version } }));
    expect(script.do === "boot" && script.initramfs[0]?.path).toBe(`/boot/base/${file}`);
  },
);

test("a machine without an image is told what to do and tries again", () => {
  const script = planBootScript(
    facts({
      image: { found: false, what: "there is no image yet", fix: "muster image import DIR --name NAME" },
    }),
  );
  expect(renderIpxe(script, SERVICE)).toBe(`#!ipxe
echo muster: c001 (52:54:00:00:00:01)
echo muster: cannot boot: there is no image yet
echo muster: muster image import DIR --name NAME
echo muster: trying again in 30 s
:again
sleep 30 ||
chain --replace --autofree tftp://10.77.0.1/start.ipxe ||
chain --replace --autofree http://10.77.0.1:9880/boot/start.ipxe ||
goto again
`);
});

test.each(["two words", "a\nb", "a\tb", "${uuid}", 'a="b', "ä", "", 'x="a  b"', "x".repeat(513)])(
  "the kernel argument %j is refused on the console, not booted",
  (argument) => {
    const node = { name: parseNodeName("c001"), kernelArguments: [argument] };
    expect(planBootScript(facts({ node })).do).toBe("wait");
  },
);

test("a machine of another architecture is not sent a kernel it cannot start", () => {
  const machine = { ...facts().machine, buildArchitecture: "arm64", platform: "efi" };
  expect(planBootScript(facts({ machine })).banner[1]).toBe(
    "muster: cannot boot: image debian12 version 3 is for x86_64, this machine is arm64",
  );
});

test("a command line the kernel would cut is not booted", () => {
  const node = {
    name: parseNodeName("c001"),
    kernelArguments: Array.from({ length: 5 }, () => "x".repeat(500)),
  };
  expect(planBootScript(facts({ node })).do).toBe("wait");
});

test("the start script asks by the interface that booted and never ends", () => {
  const text = renderStartScript(SERVICE);
  const commands = readAsIpxe(text);
  expect(commands[1]).toEqual([
    "chain",
    "--replace",
    "--autofree",
    "http://10.77.0.1:9880/boot/ipxe?mac=<netX/mac>&uuid=<uuid>&serial=<serial:uristring>&platform=<platform>&buildarch=<buildarch>",
  ]);
  expect(commands.slice(-2)).toEqual([["||"], ["goto", "start"]]);
});

const hostile = fc
  .array(
    fc.constantFrom(
      ..."&& || ; # ${ } ${uuid} \\ \" ' \n \r \t \v :failed = a b - -- --name $ { reboot exit muster.ca=x é \0".split(
        " ",
      ),
      " ",
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));

test("no text of an operator or a machine makes iPXE read a command that was not planned", () => {
  let booted = 0;
  fc.assert(
    fc.property(
      fc.array(hostile, { maxLength: 4 }),
      hostile,
      hostile,
      fc.boolean(),
      (words, what, arch, found) => {
        const script = planBootScript(
          facts({
            node: { name: parseNodeName("c001"), kernelArguments: words },
            machine: { ...facts().machine, buildArchitecture: arch },
            image: found
              ? { found, version: { ...VERSION, image: what, kernelRelease: what } }
              : { found, what, fix: what },
          }),
        );
        const text = renderIpxe(script, SERVICE);
        const commands = readAsIpxe(text);
        const banner = commands.slice(0, script.banner.length);
        expect(banner.every((command) => command[0] === "echo" && command[1] === "muster:")).toBe(true);
        expect(banner.flat().join("")).not.toContain("<");
        expect(commands.slice(script.banner.length)).toEqual(wanted(script));
        if (script.do === "boot") booted += 1;
      },
    ),
    { numRuns: 5000, seed: 1 },
  );
  expect(booted).toBeGreaterThan(200);
});

test("every kernel argument that is accepted reaches the kernel as it was written", () => {
  fc.assert(
    fc.property(hostile, (argument) => {
      fc.pre(validateKernelArgument(argument) === undefined);
      const node = { name: parseNodeName("c001"), kernelArguments: [argument] };
      const kernel = readAsIpxe(renderIpxe(planBootScript(facts({ node })), SERVICE))
        .find((command) => command[0] === "kernel")
        ?.slice(4)
        .join(" ");
      expect(kernel).toContain(` console=ttyS0 ${argument} muster.controllers=`);
    }),
    { numRuns: 3000, seed: 2 },
  );
});
