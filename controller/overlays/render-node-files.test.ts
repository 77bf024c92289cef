import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { NetworkDevice, Node } from "../inventory/inventory.ts";
import { type NodeFileParts, renderHosts, renderNodeFiles } from "./render-node-files.ts";

const network = { subnet: "10.77.0.0/20", gateway: "10.77.0.254", dns: ["10.77.0.2"], domain: "cluster" };
const controller = { address: "10.77.0.1", names: ["10.9.9.9", "head", "head.cluster"], alternatives: [] };
const MAC = parseMacAddress("52:54:00:00:00:01");
const hostKeys = {
  ed25519: generateKeyPairSync("ed25519").privateKey,
  ecdsa: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
};

function node(name: string, ...devices: NetworkDevice[]): Node {
  const at = new Date(0);
  return {
    name: parseNodeName(name),
    revision: 1,
    machine: {},
    createdAt: at,
    updatedAt: at,
    kernelArguments: [],
    overlays: [],
    runtimeOverlays: [],
    tags: {},
    devices,
  };
}

function files(of: Node, more: Partial<NodeFileParts> = {}): Record<string, string> {
  const items = renderNodeFiles({
    node: of,
    config: { network },
    hosts: "127.0.0.1 localhost\n",
    machineIdSecret: Buffer.from("secret"),
    hostKeys,
    ...more,
  });
  return Object.fromEntries(
    items.map(({ path, mode, kind }) => [
      path,
      kind.type === "file" && "bytes" in kind.content
        ? `${mode.toString(8)} ${kind.content.bytes.toString()}`
        : kind.type,
    ]),
  );
}

describe("renderNodeFiles", () => {
  it("gives each node its name, id, network and keys, and takes away keys it would share", () => {
    const all = files(node("c1", { name: "eth0", type: "ethernet", mac: MAC, address: "10.77.0.11" }));
    expect(Object.keys(all)).toEqual([
      "/etc/hostname",
      "/etc/machine-id",
      "/etc/hosts",
      "/etc/resolv.conf",
      "/etc/systemd/network/10-muster-eth0.network",
      "/etc/systemd/network/10-muster-eth0.link",
      "/etc/ssh/ssh_host_ed25519_key",
      "/etc/ssh/ssh_host_ed25519_key.pub",
      "/etc/ssh/ssh_host_ecdsa_key",
      "/etc/ssh/ssh_host_ecdsa_key.pub",
      "/etc/ssh/ssh_host_rsa_key",
      "/etc/ssh/ssh_host_rsa_key.pub",
      "/etc/ssh/ssh_host_dsa_key",
      "/etc/ssh/ssh_host_dsa_key.pub",
      "/etc/ssh/ssh_host_ed25519_key-cert.pub",
      "/etc/ssh/ssh_host_ecdsa_key-cert.pub",
      "/etc/ssh/ssh_host_rsa_key-cert.pub",
      "/etc/ssh/ssh_host_dsa_key-cert.pub",
      "/var/lib/systemd/random-seed",
      "/var/lib/systemd/credential.secret",
      "/var/lib/dbus/machine-id",
    ]);
    expect(all["/etc/hostname"]).toBe("644 c1\n");
    expect(all["/etc/machine-id"]).toMatch(/^444 [0-9a-f]{32}\n$/);
    expect(all["/etc/hosts"]).toBe("644 127.0.0.1 localhost\n");
    expect(all["/etc/resolv.conf"]).toBe("644 # written by muster\nsearch cluster\nnameserver 10.77.0.2\n");
    expect(all["/etc/ssh/ssh_host_ed25519_key"]).toMatch(/^600 -----BEGIN OPENSSH PRIVATE KEY-----\n/);
    expect(all["/etc/ssh/ssh_host_ed25519_key.pub"]).toMatch(/^644 ssh-ed25519 \S+ root@c1\n$/);
    expect(all["/etc/ssh/ssh_host_rsa_key"]).toBe("deletion");
    expect(all["/var/lib/systemd/random-seed"]).toBe("deletion");
  });

  it("writes no resolv.conf without name servers, and 127.0.1.1 for a node without address", () => {
    const all = files(node("c1", { name: "eth0", type: "ethernet", mac: MAC }), {
      config: { network: { ...network, dns: [] } },
    });
    expect(all["/etc/resolv.conf"]).toBeUndefined();
    expect(all["/etc/hosts"]).toBe("644 127.0.0.1 localhost\n127.0.1.1 c1.cluster c1\n");
  });

  it("gives the same machine id at each boot, another to each node and each secret", () => {
    const id = (name: string, secret: string) =>
      files(node(name), { machineIdSecret: Buffer.from(secret) })["/etc/machine-id"];
    expect(id("c1", "a")).toBe(id("c1", "a"));
    expect(new Set([id("c1", "a"), id("c2", "a"), id("c1", "b")]).size).toBe(3);
  });

  it("refuses a device whose name would climb out of its directory", () => {
    expect(() => files(node("c1", { name: "../../x", type: "ethernet" }))).toThrow(
      'c1: "../../x" cannot be the name of a network device',
    );
  });

  it("writes static and dynamic units for the boot interface and for the others", () => {
    const all = files(
      node(
        "c1",
        { name: "ib0", type: "infiniband", address: "10.78.0.11", netmask: "255.255.0.0", mtu: 2044 },
        { name: "eno1", type: "ethernet", mac: MAC, address: "10.77.0.11", mtu: 9000 },
        { name: "eno2", type: "ethernet", mac: parseMacAddress("52:54:00:00:00:02") },
      ),
    );
    const head = "644 # written by muster at each boot; changes here are lost\n";
    expect(all["/etc/systemd/network/10-muster-ib0.network"]).toBe(
      `${head}[Match]\nName=ib0\n\n[Link]\nMTUBytes=2044\nRequiredForOnline=no\n\n` +
        "[Network]\nDHCP=no\nAddress=10.78.0.11/16\n",
    );
    expect(all["/etc/systemd/network/10-muster-ib0.link"]).toBeUndefined();
    expect(all["/etc/systemd/network/10-muster-eno1.network"]).toBe(
      `${head}[Match]\nMACAddress=52:54:00:00:00:01\nType=ether\n\n[Link]\nMTUBytes=9000\n\n` +
        "[Network]\nDHCP=no\nAddress=10.77.0.11/20\nGateway=10.77.0.254\nKeepConfiguration=yes\n" +
        "DNS=10.77.0.2\nDomains=cluster\n",
    );
    expect(all["/etc/systemd/network/10-muster-eno1.link"]).toBe(
      `${head}[Match]\nMACAddress=52:54:00:00:00:01\nType=ether\n\n[Link]\nAlternativeName=eno1\n` +
        "AlternativeNamesPolicy=database onboard slot path\nMACAddressPolicy=none\nMTUBytes=9000\n",
    );
    expect(all["/etc/systemd/network/10-muster-eno2.link"]).toBe(
      `${head}[Match]\nMACAddress=52:54:00:00:00:02\nType=ether\n\n[Link]\nName=eno2\n` +
        "AlternativeNamesPolicy=database onboard slot path\nMACAddressPolicy=none\n",
    );
    expect(all["/etc/systemd/network/10-muster-eno2.network"]).toBe(
      `${head}[Match]\nMACAddress=52:54:00:00:00:02\nType=ether\n\n[Link]\nRequiredForOnline=no\n\n` +
        "[Network]\nDHCP=ipv4\n\n[DHCPv4]\nClientIdentifier=mac\n",
    );
    const dynamic = files(node("c1", { name: "eth0", type: "ethernet", mac: MAC }));
    expect(dynamic["/etc/systemd/network/10-muster-eth0.network"]).toBe(
      `${head}[Match]\nMACAddress=52:54:00:00:00:01\nType=ether\n\n` +
        "[Network]\nDHCP=ipv4\nKeepConfiguration=yes\n\n[DHCPv4]\nClientIdentifier=mac\n",
    );
    expect(dynamic["/etc/systemd/network/10-muster-eth0.link"]).toBe(
      `${head}[Match]\nMACAddress=52:54:00:00:00:01\nType=ether\n\n` +
        "[Link]\nAlternativeNamesPolicy=database onboard slot path\nMACAddressPolicy=none\n",
    );
  });

  it("never renames the boot interface, which is up: networkd would wait for it for ever", () => {
    for (const name of ["eth0", "eno1"]) {
      const all = files(node("c1", { name, type: "ethernet", mac: MAC }));
      expect(all[`/etc/systemd/network/10-muster-${name}.link`]).not.toMatch(/^Name(Policy)?=/m);
    }
  });

  it("sets no gateway the boot address cannot reach", () => {
    const all = files(node("c1", { name: "eth0", type: "ethernet", mac: MAC, address: "192.168.1.5" }));
    expect(all["/etc/systemd/network/10-muster-eth0.network"]).not.toContain("Gateway=");
  });
});

describe("renderHosts", () => {
  it("names the controller and each node by its boot address, other addresses by device", () => {
    const nodes = [
      node(
        "c1",
        { name: "ib0", type: "infiniband", address: "10.78.0.11" },
        { name: "eno1", type: "ethernet", mac: MAC, address: "10.77.0.11" },
      ),
      node("c2", { name: "eno1", type: "ethernet", address: "10.77.0.12" }),
      node("c3"),
    ];
    expect(renderHosts(nodes, { network, controller })).toBe(
      [
        "# written by muster at each boot; changes here are lost",
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "10.77.0.1 head head.cluster",
        "10.78.0.11 c1-ib0",
        "10.77.0.11 c1.cluster c1",
        "10.77.0.12 c2.cluster c2",
        "",
      ].join("\n"),
    );
    expect(renderHosts([], { network, controller: { ...controller, names: [] } })).toContain(
      "10.77.0.1 muster-controller\n",
    );
  });
});
