import { expect, test } from "vitest";

import { parseFirewall } from "./parse-firewall.ts";
import { parseProcNet } from "./parse-proc-net.ts";

const NEEDED = [
  { protocol: "udp", port: 67 },
  { protocol: "udp", port: 69 },
  { protocol: "tcp", port: 9880 },
] as const;

test.each([
  ["no rules", "", []],
  [
    "a policy of accept",
    "table inet f {\n chain input {\n type filter hook input priority filter; policy accept;\n }\n}",
    [],
  ],
  [
    "nftables with a policy of drop",
    "table inet f {\n chain input {\n type filter hook input priority filter; policy drop;\n ct state established,related accept\n udp dport { 67, 4011 } accept\n tcp dport 9880-9884 accept\n }\n}",
    [NEEDED[1]],
  ],
  [
    "firewalld's last rule",
    "table inet firewalld {\n chain filter_INPUT {\n type filter hook input priority filter + 10; policy accept;\n ct state { established, related } accept\n tcp dport 22 accept\n reject with icmpx admin-prohibited\n }\n}",
    [...NEEDED],
  ],
  [
    "iptables",
    "-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p udp -m multiport --dports 67:69 -j ACCEPT",
    [NEEDED[2]],
  ],
  ["iptables that trusts the boot network", "-P INPUT DROP\n-A INPUT -s 10.77.0.0/24 -j ACCEPT", []],
])("%s", (_title, rules, closed) => {
  expect(parseFirewall(rules, NEEDED)).toEqual(closed);
});

test("sockets that wait are found with address, port and inode", () => {
  // /proc/net/tcp, Linux 6.1; the third is an established connection.
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:2698 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21530 1 0000000000000000 100 0 0 10 0
   1: 01004D0A:2699 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21531 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 21532 1 0000000000000000 20 4 30 10 -1
   3: 00000000000000000000000000000000:269A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21533 1 0000000000000000 100 0 0 10 0
   4: 00000000000000000000000001000000:269B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21534 1 0000000000000000 100 0 0 10 0
   5: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 21535 2 0000000000000000 0
`;
  expect(parseProcNet(text)).toEqual([
    { port: 9880, address: "*", inode: 21530 },
    { port: 9881, address: "10.77.0.1", inode: 21531 },
    { port: 9882, address: "*", inode: 21533 },
    { port: 67, address: "*", inode: 21535 },
  ]);
});
