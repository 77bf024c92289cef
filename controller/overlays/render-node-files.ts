import { createHash, type KeyObject } from "node:crypto";
import { isIP } from "node:net";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { NetworkDevice, Node } from "../inventory/inventory.ts";
import type { OverlayItem } from "./plan-system-overlay.ts";
import { renderNetworkUnits } from "./render-network-units.ts";
import { renderOpensshKey } from "./render-openssh-key.ts";

/** What is generated for a node, beside its record. */
export interface NodeFileParts {
  readonly node: Node;
  readonly config: Pick<MusterConfig, "network">;
  /** {@link renderHosts} of the whole cluster; made once for all nodes. */
  readonly hosts: string;
  /** Known to nobody else, kept for the node: its machine id is derived from it. */
  readonly machineIdSecret: Uint8Array;
  readonly hostKeys: { readonly ed25519: KeyObject; readonly ecdsa: KeyObject };
}

/** Secrets and identities that a tree has when it was ever booted, or its packages' scripts ran. */
const NEVER_SHARED: readonly string[] = [
  ...["rsa", "dsa"].flatMap((kind) => [`/etc/ssh/ssh_host_${kind}_key`, `/etc/ssh/ssh_host_${kind}_key.pub`]),
  // Certificates for the keys above and for those that are replaced (sshd_config(5), HostCertificate).
  ...["ed25519", "ecdsa", "rsa", "dsa"].map((kind) => `/etc/ssh/ssh_host_${kind}_key-cert.pub`),
  // Entropy credited at boot must not be the same everywhere (systemd-random-seed.service(8)).
  "/var/lib/systemd/random-seed",
  // Host key of systemd-creds(1).
  "/var/lib/systemd/credential.secret",
  // Read before /etc/machine-id by dbus-daemon, where it is a file and no link (dbus-uuidgen(1)).
  "/var/lib/dbus/machine-id",
];

/**
 * The files every node gets before its own overlays, which may replace them: hostname, machine-id, hosts,
 * networkd units, resolv.conf (only with `network.dns`), ssh host keys. What an image carries and all its nodes would
 * share is deleted ({@link NEVER_SHARED}).
 * Throws `overlay-invalid` for a device whose name cannot be part of a file name.
 */
export function renderNodeFiles(parts: NodeFileParts): readonly OverlayItem[] {
  const { node, config } = parts;
  const { dns, domain } = config.network;
  const bad = node.devices.find((device) => !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(device.name));
  if (bad !== undefined) {
    throw new MusterError({
      code: "overlay-invalid",
      what: `${node.name}: ${JSON.stringify(bad.name)} cannot be the name of a network device`,
      fix: `rename the device: \`muster node show ${node.name}\` shows it`,
    });
  }
  return [
    file("/etc/hostname", `${node.name}\n`),
    file("/etc/machine-id", `${machineId(node.name, parts.machineIdSecret)}\n`, 0o444),
    file("/etc/hosts", hostsOf(node, parts.hosts, domain)),
    ...(dns.length === 0
      ? []
      : [
          file(
            "/etc/resolv.conf",
            [
              "# written by muster",
              `search ${domain}`,
              ...dns.map((server) => `nameserver ${server}`),
              "",
            ].join("\n"),
          ),
        ]),
    ...renderNetworkUnits(node.devices, config.network).map((unit) =>
      file(`/etc/systemd/network/${unit.name}`, unit.text),
    ),
    ...hostKey("ed25519", parts.hostKeys.ed25519, node.name),
    ...hostKey("ecdsa", parts.hostKeys.ecdsa, node.name),
    ...NEVER_SHARED.map(deletion),
  ];
}

/**
 * /etc/hosts of the cluster: localhost, the controller, and each node that has an address in the inventory.
 * A node's name stands for the address it boots with (else its first); its other addresses are NAME-DEVICE.
 */
export function renderHosts(
  nodes: readonly Node[],
  config: Pick<MusterConfig, "controller" | "network">,
): string {
  const { domain } = config.network;
  const names = config.controller.names.filter((name) => isIP(name) === 0 && name !== "localhost");
  const lines = [
    "# written by muster at each boot; changes here are lost",
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    `${config.controller.address} ${(names.length === 0 ? ["muster-controller"] : names).join(" ")}`,
  ];
  for (const node of nodes) {
    const first = findPrimaryDevice(node);
    for (const device of node.devices) {
      if (device.address === undefined) continue;
      lines.push(
        device === first
          ? `${device.address} ${node.name}.${domain} ${node.name}`
          : `${device.address} ${node.name}-${device.name}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

/** A node without an address of its own must resolve its own name all the same; 127.0.1.1 as Debian does. */
function hostsOf(node: Node, hosts: string, domain: string): string {
  return findPrimaryDevice(node) === undefined
    ? `${hosts}127.0.1.1 ${node.name}.${domain} ${node.name}\n`
    : hosts;
}

/** The device whose address the name of a node stands for. */
export function findPrimaryDevice(node: Node): NetworkDevice | undefined {
  const boot = node.devices.find((device) => device.mac !== undefined);
  return boot?.address === undefined ? node.devices.find((device) => device.address !== undefined) : boot;
}

/** 32 hex digits, the same at each boot (machine-id(5)); nobody can tell it from the name. */
function machineId(name: string, secret: Uint8Array): string {
  return createHash("sha256").update(`machine-id\0${name}\0`).update(secret).digest("hex").slice(0, 32);
}

function hostKey(kind: string, key: KeyObject, node: string): readonly OverlayItem[] {
  const { privateKey, publicKey } = renderOpensshKey(key, `root@${node}`);
  return [
    file(`/etc/ssh/ssh_host_${kind}_key`, privateKey, 0o600),
    file(`/etc/ssh/ssh_host_${kind}_key.pub`, publicKey),
  ];
}

function file(path: string, text: string, mode = 0o644): OverlayItem {
  return {
    path,
    mode,
    uid: 0,
    gid: 0,
    xattrs: {},
    kind: { type: "file", content: { bytes: Buffer.from(text) } },
  };
}

function deletion(path: string): OverlayItem {
  return { path, mode: 0, uid: 0, gid: 0, xattrs: {}, kind: { type: "deletion" } };
}
