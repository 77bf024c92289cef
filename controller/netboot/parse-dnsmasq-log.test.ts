import { expect, test } from "vitest";

import { isDnsmasqStarted, parseDnsmasqLine } from "./parse-dnsmasq-log.ts";

const MAC = "52:54:00:00:00:01";

// Lines of dnsmasq 2.90 (Debian 12), recorded with --no-daemon, with --keep-in-foreground and with --log-dhcp.
test.each([
  [
    "dnsmasq-dhcp[19938]: DHCPDISCOVER(ctl0) 52:54:00:00:00:01 ",
    { kind: "dhcp", message: "DISCOVER", interface: "ctl0", mac: MAC },
  ],
  [
    "Nov 20 12:00:48 dnsmasq-dhcp[7]: DHCPACK(br0) 10.77.0.11 52:54:00:00:00:01 c001",
    { kind: "dhcp", message: "ACK", interface: "br0", mac: MAC, address: "10.77.0.11" },
  ],
  [
    "dnsmasq-dhcp: 3735928559 DHCPOFFER(br0) 10.77.0.11 52:54:00:00:00:01",
    { kind: "dhcp", message: "OFFER", interface: "br0", mac: MAC, address: "10.77.0.11" },
  ],
  ["dnsmasq-dhcp[1]: PXE(ctl0) 52:54:00:00:00:01 proxy", { kind: "proxy", interface: "ctl0", mac: MAC }],
  [
    "dnsmasq-tftp[1]: sent /run/muster/tftp/snponly.efi to 10.77.0.11",
    { kind: "tftp-sent", path: "/run/muster/tftp/snponly.efi", address: "10.77.0.11" },
  ],
  [
    "dnsmasq-tftp[1]: error 0 TFTP Aborted received from 10.77.0.11",
    { kind: "tftp-failed", what: "error 0 TFTP Aborted received from 10.77.0.11" },
  ],
  ["dnsmasq-tftp[1]: TFTP root is /run/muster/tftp  ", undefined],
  ["dnsmasq-dhcp[1]: DHCPDISCOVER(ib0) 20:00:55:04:01:fe:80:00 ", undefined],
  ["dnsmasq-dhcp[1]: vendor class: DHCPACK(br0) 10.77.0.11 52:54:00:00:00:01", undefined],
  ["", undefined],
])("%s", (line, meaning) => {
  expect(parseDnsmasqLine(line)).toEqual(meaning);
});

test("the line that ends dnsmasq's start is known with and without a time stamp", () => {
  expect(
    [
      "Nov  2 12:00:48 dnsmasq[29069]: started, version 2.90 DNS disabled",
      "dnsmasq: started, version 2.79 cachesize 150",
      "dnsmasq[1]: exiting on receipt of SIGTERM",
    ].map(isDnsmasqStarted),
  ).toEqual([true, true, false]);
});
