import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { runCommand } from "#proto/host/run-command.ts";
import { testConfig } from "./netboot-test-lab.ts";
import { renderDhcpSnippet } from "./render-dhcp-snippet.ts";

const HOSTS = [
  { mac: parseMacAddress("52:54:00:00:00:01"), name: "c001", address: "10.77.0.11" },
  { mac: parseMacAddress("52:54:00:00:00:02"), name: "c002" },
];

test("dnsmasq accepts the dnsmasq snippet", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-snippet-"));
  try {
    const path = join(directory, "muster.conf");
    await writeFile(path, renderDhcpSnippet("dnsmasq", testConfig("/x"), HOSTS));
    const { stderr } = await runCommand({ program: "dnsmasq", args: ["--test", `--conf-file=${path}`] });
    expect(stderr).toMatch(/syntax check OK/);
  } finally {
    await rm(directory, { recursive: true });
  }
});

// The ISC and Kea texts below were run in dhcpd 4.4.3-P1 and Kea 2.2.0 (Debian 12), which gave each kind of client in
// supervise-dnsmasq.test.ts the answer that dnsmasq gives there.
test("the ISC snippet tells clients apart by architecture and names nodes", () => {
  expect(
    renderDhcpSnippet("isc", testConfig("/x"), HOSTS),
  ).toBe(`# muster: netboot (ISC dhcpd 4.x). Goes to dhcpd.conf, outside or inside the subnet of the nodes.
option muster-arch code 93 = unsigned integer 16;
option space muster-ipxe;
option muster-ipxe.no-pxedhcp code 176 = unsigned integer 8;
option muster-ipxe-options code 175 = encapsulate muster-ipxe;

next-server 10.77.0.1;
if exists user-class and option user-class = "iPXE" {
  # iPXE need not wait for a ProxyDHCP answer: saves 3 s of every boot.
  option muster-ipxe.no-pxedhcp 1;
  filename "tftp://10.77.0.1/start.ipxe";
} elsif option muster-arch = 00:00 {
  # BIOS
  filename "undionly.kpxe";
} elsif option muster-arch = 00:07 or option muster-arch = 00:09 {
  # UEFI x86-64
  filename "snponly.efi";
} elsif option muster-arch = 00:0b {
  # UEFI arm64
  filename "snponly-arm64.efi";
} elsif option muster-arch = 00:10 {
  # UEFI x86-64 HTTP boot
  option vendor-class-identifier "HTTPClient";
  filename "http://10.77.0.1:9880/boot/ipxe-bin/snponly.efi";
} elsif option muster-arch = 00:13 {
  # UEFI arm64 HTTP boot
  option vendor-class-identifier "HTTPClient";
  filename "http://10.77.0.1:9880/boot/ipxe-bin/snponly-arm64.efi";
}
host c001 { hardware ethernet 52:54:00:00:00:01; fixed-address 10.77.0.11; }
host c002 { hardware ethernet 52:54:00:00:00:02; }
`);
});

test("the Kea snippet is JSON below one comment line", () => {
  const [comment = "", ...json] = renderDhcpSnippet("kea", testConfig("/x"), HOSTS).split("\n");
  expect(comment).toMatch(/^\/\/ muster/);
  const parsed = JSON.parse(json.join("\n")) as {
    Dhcp4: { "client-classes": { name: string; test: string; "boot-file-name": string }[]; subnet4: unknown };
  };
  expect(parsed.Dhcp4["client-classes"].map((one) => [one.name, one.test, one["boot-file-name"]])).toEqual([
    ["muster-ipxe", "option[77].hex == 'iPXE'", "tftp://10.77.0.1/start.ipxe"],
    ["muster-bios", "not member('muster-ipxe') and (option[93].hex == 0x0000)", "undionly.kpxe"],
    [
      "muster-efi64",
      "not member('muster-ipxe') and (option[93].hex == 0x0007 or option[93].hex == 0x0009)",
      "snponly.efi",
    ],
    ["muster-efiarm64", "not member('muster-ipxe') and (option[93].hex == 0x000b)", "snponly-arm64.efi"],
    [
      "muster-http64",
      "not member('muster-ipxe') and (option[93].hex == 0x0010)",
      "http://10.77.0.1:9880/boot/ipxe-bin/snponly.efi",
    ],
    [
      "muster-httparm64",
      "not member('muster-ipxe') and (option[93].hex == 0x0013)",
      "http://10.77.0.1:9880/boot/ipxe-bin/snponly-arm64.efi",
    ],
  ]);
  expect(parsed.Dhcp4.subnet4).toEqual([
    {
      id: 1,
      subnet: "10.77.0.0/24",
      reservations: [
        { "hw-address": "52:54:00:00:00:01", hostname: "c001", "ip-address": "10.77.0.11" },
        { "hw-address": "52:54:00:00:00:02", hostname: "c002" },
      ],
    },
  ]);
});
