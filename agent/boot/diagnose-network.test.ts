import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { expect, test } from "vitest";

import { diagnoseNetwork, type NetworkProblem } from "./diagnose-network.ts";

const eth0 = {
  name: "eth0",
  mac: parseMacAddress("52:54:00:00:00:01"),
  driver: "virtio_net",
  carrier: false,
};

const rows: readonly (readonly [NetworkProblem, string, string])[] = [
  [
    { kind: "no-interface", bootMac: "52:54:00:00:00:02", interfaces: [], driverless: [] },
    "no-boot-interface",
    "no network interface to boot from (the firmware booted from 52:54:00:00:00:02): there is none",
  ],
  [
    {
      kind: "no-interface",
      bootMac: undefined,
      interfaces: [eth0],
      driverless: ["0000:00:03.0 [8086:100e]"],
    },
    "no-boot-interface",
    "no network interface to boot from: there is eth0 (52:54:00:00:00:01, virtio_net); no driver for PCI device 0000:00:03.0 [8086:100e]",
  ],
  [
    { kind: "no-link", interfaces: [eth0], waitedMs: 35_000 },
    "no-link",
    "no link on eth0 (52:54:00:00:00:01, virtio_net) after 35 s",
  ],
  [
    { kind: "no-lease", interface: "eth0", mac: eth0.mac, tries: 4 },
    "no-lease",
    "no DHCP answer on eth0 (52:54:00:00:00:01) in 4 tries",
  ],
  [
    { kind: "no-route", address: "10.1.0.1:9881", own: "10.77.0.9" },
    "no-route",
    "no route from 10.77.0.9 to the controller 10.1.0.1:9881",
  ],
  [
    { kind: "port-refused", address: "10.77.0.1:9881" },
    "controller-refused",
    "the controller 10.77.0.1:9881 refuses connections",
  ],
  [
    { kind: "unreachable", address: "10.77.0.1:9881", detail: "no answer within 5 s" },
    "controller-unreachable",
    "the controller 10.77.0.1:9881 does not answer (no answer within 5 s)",
  ],
  [
    { kind: "no-tls", address: "10.77.0.1:9881", detail: "wrong version number" },
    "controller-refused",
    "what answers at 10.77.0.1:9881 does not speak TLS as a controller does (wrong version number)",
  ],
  [
    { kind: "certificate-mismatch", address: "10.77.0.1:9881", expected: "aa", presented: "bb" },
    "certificate-mismatch",
    "10.77.0.1:9881 is not the controller this node was booted by: the boot script says authority aa, it presents bb",
  ],
];

test.each(rows)("%j is one sentence with a code and a remedy", (problem, code, what) => {
  const error = diagnoseNetwork(problem);
  expect({ code: error.code, what: error.message }).toEqual({ code, what });
  expect(error.fix).toMatch(/\w/);
  expect(`${error.message}${error.fix ?? ""}`).not.toContain("\n");
});
