import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { isFixedAddressLeased, planDhcpHosts, pruneLeases, renderDhcpHosts } from "./plan-dhcp-hosts.ts";

const A = parseMacAddress("52:54:00:00:00:01");
const B = parseMacAddress("52:54:00:00:00:02");

test("the boot device has the node's name, every other device with a MAC its own", () => {
  const hosts = planDhcpHosts([
    {
      name: parseNodeName("c001"),
      devices: [
        { name: "ib0", type: "infiniband", address: "10.78.0.1" },
        { name: "eno1", type: "ethernet", mac: A, address: "10.77.0.11" },
        { name: "eno2.7", type: "vlan", mac: B },
      ],
    },
  ]);
  expect(renderDhcpHosts(hosts)).toBe(
    "52:54:00:00:00:01,10.77.0.11,c001,infinite\n52:54:00:00:00:02,c001-eno2-7\n",
  );
});

test("only leases that contradict the inventory are dropped", () => {
  const leases = [
    "0 52:54:00:00:00:01 10.77.0.11 c001 *", // as it should be
    "0 52:54:00:00:00:02 10.77.0.12 c002 *", // no longer fixed: would be held for ever
    "1800000000 52:54:00:00:00:02 10.77.0.130 * *", // an ordinary lease
    "1800000000 52:54:00:00:00:01 10.77.0.131 * *", // fixed elsewhere meanwhile
    "1800000000 52:54:00:00:00:09 10.77.0.11 * *", // sits on a fixed address
    "duid 00:01:00:01",
    "",
  ];
  const hosts = [{ mac: A, name: "c001", address: "10.77.0.11" }];
  expect(pruneLeases(leases.join("\n"), hosts)).toBe([leases[0], leases[2], leases[5], ""].join("\n"));
  expect(pruneLeases(leases[0] ?? "", hosts)).toBeUndefined();
});

test("only an address that another machine holds needs a restart of dnsmasq", () => {
  const hosts = [{ mac: A, name: "c001", address: "10.77.0.11" }];
  expect(isFixedAddressLeased("0 52:54:00:00:00:01 10.77.0.11 c001 *\n", hosts)).toBe(false);
  expect(isFixedAddressLeased("1800000000 52:54:00:00:00:01 10.77.0.131 * *\n", hosts)).toBe(false);
  expect(isFixedAddressLeased("0 52:54:00:00:00:02 10.77.0.12 c002 *\n", hosts)).toBe(false);
  expect(isFixedAddressLeased("duid 00:01:00:01\n", hosts)).toBe(false);
  expect(isFixedAddressLeased("1800000000 52:54:00:00:00:02 10.77.0.11 * *\n", hosts)).toBe(true);
});
