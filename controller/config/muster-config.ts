import type { MacAddress } from "#proto/contract/mac-address.ts";

/** `muster.yaml`, read, checked and completed with its defaults. Addresses are IPv4 in dotted form. */
export interface MusterConfig {
  readonly controller: {
    /** Address on the boot network where nodes reach this controller. */
    readonly address: string;
    /** Further names and addresses that go into the controller's certificate. */
    readonly names: readonly string[];
    /** Addresses of other controllers agents may use, "host:port" of their enrolment service. */
    readonly alternatives: readonly string[];
  };
  readonly network: {
    /** Boot network in CIDR form, for example "10.77.0.0/24". Holds `controller.address`. */
    readonly subnet: string;
    /** Name of the interface with `controller.address`; found by address when absent. */
    readonly interface?: string;
    readonly gateway?: string;
    readonly dns: readonly string[];
    readonly domain: string;
  };
  readonly dhcp: {
    /** dnsmasq: we serve DHCP and TFTP. proxy: the site's DHCP gives addresses, we add the boot file. external: the site's server does all. */
    readonly mode: "dnsmasq" | "proxy" | "external";
    /** Who keeps dnsmasq running: `child` = musterd itself, `systemd` = the unit muster-dnsmasq.service. */
    readonly supervisor: "child" | "systemd";
    /** First and last address for machines without one of their own. */
    readonly rangeStart: string;
    readonly rangeEnd: string;
    readonly leaseSeconds: number;
    /** The dnsmasq program. */
    readonly program: string;
  };
  readonly ports: {
    /** Boot artifacts, plain HTTP. */
    readonly http: number;
    /** gRPC Enrollment, TLS, no client certificate. */
    readonly enrolment: number;
    /** gRPC Provisioning and Session, mutual TLS. */
    readonly agents: number;
    /** gRPC Blobs, mutual TLS, worker processes. */
    readonly blobs: number;
    /** REST over HTTPS with a token. */
    readonly api: number;
  };
  readonly paths: {
    /** Inventory, telemetry, authority, blobs. Default /var/lib/muster. */
    readonly state: string;
    /** Sockets and generated configuration. Default /run/musterd: /run/muster is the agent's, on a head node that muster booted itself. */
    readonly runtime: string;
    /** Static overlay trees: NAME/rootfs/... Default <state>/overlays. */
    readonly overlays: string;
    /** What is run when nodes come and go: docs/hooks.md. Default /etc/muster/hooks.d. */
    readonly hooks: string;
    /** undionly.kpxe, snponly.efi. Default: where the distribution's ipxe package puts them. */
    readonly ipxe: string;
    /** The base initramfs archives of this release. Default: beside the program. */
    readonly artifacts: string;
  };
  readonly boot: {
    /** Image for nodes that name none, and for discovery; the only image when absent. */
    readonly image?: string;
    readonly kernelArguments: readonly string[];
    readonly giveUpAfterSeconds: number;
    readonly rebootAfterSeconds: number;
  };
  readonly enrolment: {
    readonly tokenSeconds: number;
    readonly certificateSeconds: number;
    /** More machines than this waiting for approval are turned away. */
    readonly maxPending: number;
    /** Approval without an operator; empty: none. Tried in order, first match wins. */
    readonly rules: readonly ApprovalRule[];
  };
  readonly blobs: {
    /** Worker processes that serve blobs. Default: one per core, at most 8. */
    readonly workers: number;
    /** Unreferenced blobs are kept this long. */
    readonly graceSeconds: number;
  };
  readonly limits: {
    /** Open connections from one address to one port, and how many of them at once. */
    readonly connectionsPerAddress: number;
  };
  readonly telemetry: {
    readonly keepDays: number;
    readonly maxEvents: number;
    readonly maxBoots: number;
    /** What nodes said, of all nodes. */
    readonly maxLogLines: number;
  };
  readonly overlays: {
    /** When nodes look at their runtime overlay by themselves: five or six fields, in each node's time zone. */
    readonly schedule: string;
    /** Each node waits for its own part of this after the schedule's moment. */
    readonly jitterSeconds: number;
    /** What a node does about files that were changed on it: put them right, or only say so. */
    readonly onDrift: "repair" | "report";
    /** Runtime overlays of every node, before its own. */
    readonly runtime: readonly string[];
  };
  readonly agents: {
    /** Nodes that are up get the agent of this controller; otherwise at their next boot. */
    readonly update: boolean;
  };
  readonly hooks: {
    /** A hook that runs for longer is killed. */
    readonly deadlineSeconds: number;
  };
  readonly api: {
    /** Unix group that may use the socket. */
    readonly group: string;
    /** Listen for HTTPS with tokens. */
    readonly remote: boolean;
  };
}

/** Approves a pending machine that fits every condition given, under the next free name of the pattern. */
export interface ApprovalRule {
  /** Node set whose members are given out in order of arrival: "c[001-999]". */
  readonly names: string;
  readonly macPrefixes?: readonly string[];
  readonly serials?: readonly string[];
  /** CIDR the machine's address must be in. */
  readonly addresses?: string;
  readonly image?: string;
}

/** A host line for DHCP: a machine whose address the inventory fixes. */
export interface DhcpHost {
  readonly mac: MacAddress;
  readonly name: string;
  readonly address?: string;
}
