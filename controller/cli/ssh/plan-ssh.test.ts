import { expect, test } from "vitest";

import { explainSshFailure, planSshArguments, renderKnownHosts, separateRemoteCommand } from "./plan-ssh.ts";

test.each([
  ["ssh c001 df -h", "ssh c001 -- df -h"],
  ["ssh -b --fanout 4 c001 -l root uptime -p", "ssh -b --fanout 4 c001 -l root -- uptime -p"],
  ["-o json ssh c001 ls -o", "-o json ssh c001 -- ls -o"],
  ["--socket /run/x ssh --timeout 5 c001 sleep 6", "--socket /run/x ssh --timeout 5 c001 -- sleep 6"],
  ["ssh --fanout=4 c001 ls --help", "ssh --fanout=4 c001 -- ls --help"],
  ["ssh c001 -- ls -h", "ssh c001 -- ls -h"],
  ["ssh c001", "ssh c001"],
  ["ssh --help", "ssh --help"],
  ["node list ssh c001 -h", "node list ssh c001 -h"],
  ["", ""],
])("in `muster %s` what follows the node set's next word is the node's", (line, expected) => {
  const words = (text: string): readonly string[] => text.split(" ").filter((word) => word !== "");
  expect(separateRemoteCommand(words(line))).toEqual(words(expected));
});

const TARGET = { node: "c001", address: "10.77.0.11" };
const ALWAYS = [
  "HostName=10.77.0.11",
  "HostKeyAlias=c001",
  "StrictHostKeyChecking=yes",
  'UserKnownHostsFile="/tmp/k n"',
  "GlobalKnownHostsFile=/dev/null",
  "IgnoreUnknown=KnownHostsCommand",
  "KnownHostsCommand=none",
  "VerifyHostKeyDNS=no",
  "UpdateHostKeys=no",
  "CheckHostIP=no",
  "ControlPath=none",
  "ControlMaster=no",
  "ConnectTimeout=10",
  "ServerAliveInterval=15",
];
const options = (all: readonly string[]): readonly string[] => all.flatMap((option) => ["-o", option]);

test("a command gets no terminal, no input, and options that nothing after them can undo", () => {
  const request = {
    words: ["ls", "-l"],
    user: "root",
    sshOptions: ["StrictHostKeyChecking=no", "Port=2222"],
    knownHostsPath: "/tmp/k n",
  };
  expect(planSshArguments(TARGET, request, "/tmp/log")).toEqual([
    ...["-n", "-T", "-E", "/tmp/log"],
    ...options([...ALWAYS, "BatchMode=yes", "LogLevel=ERROR", "StrictHostKeyChecking=no", "Port=2222"]),
    ...["-l", "root", "--", "c001", "ls", "-l"],
  ]);
});

test("a shell has the terminal, and may ask for a password", () => {
  const request = { words: [], sshOptions: [], knownHostsPath: "/tmp/k n" };
  expect(planSshArguments(TARGET, request, undefined)).toEqual([...options(ALWAYS), "--", "c001"]);
});

test("known hosts go by the names of nodes", () => {
  const targets = [
    { node: "c001", hostKeys: ["ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 BBBB"] },
    { node: "c002", hostKeys: ["ssh-ed25519 CCCC"] },
  ];
  expect(renderKnownHosts(targets)).toBe(
    "c001 ssh-ed25519 AAAA\nc001 ecdsa-sha2-nistp256 BBBB\nc002 ssh-ed25519 CCCC\n",
  );
});

const WRONG_KEY = "ssh: its host key is not the one musterd made for it; something else may have its address";

// What OpenSSH 9.2 writes to the file of -E.
test.each([
  [
    "ssh: connect to host 10.77.0.11 port 22: Connection timed out\r\n",
    "ssh: connect to port 22: Connection timed out",
  ],
  [
    "ssh: connect to host 10.77.0.11 port 22: No route to host\n",
    "ssh: connect to port 22: No route to host",
  ],
  ["root@10.77.0.11: Permission denied (publickey).\n", "ssh: Permission denied (publickey)."],
  ["Connection closed by 10.77.0.11 port 22\n", "ssh: Connection closed by the node port 22"],
  [
    "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.77.0.11 port 22\n",
    "ssh: Connection reset by the node port 22",
  ],
  [
    "No ED25519 host key is known for c001 and you have requested strict checking.\nHost key verification failed.\n",
    WRONG_KEY,
  ],
  ["@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@\n", WRONG_KEY],
  ["", "ssh: failed and did not say why"],
])("%j is told without the node's address", (log, expected) => {
  expect(explainSshFailure(log, "10.77.0.11")).toBe(expected);
});
