import { MusterError } from "#proto/contract/muster-error.ts";

import type { InterfaceFacts } from "./gather-interfaces.ts";

/** Why a node cannot talk to its controller, as facts. */
export type NetworkProblem =
  | {
      readonly kind: "no-interface";
      readonly bootMac: string | undefined;
      readonly interfaces: readonly InterfaceFacts[];
      readonly driverless: readonly string[];
    }
  | { readonly kind: "no-link"; readonly interfaces: readonly InterfaceFacts[]; readonly waitedMs: number }
  | { readonly kind: "no-lease"; readonly interface: string; readonly mac: string; readonly tries: number }
  | { readonly kind: "no-route"; readonly address: string; readonly own: string }
  | { readonly kind: "port-refused"; readonly address: string }
  | { readonly kind: "unreachable"; readonly address: string; readonly detail: string }
  | { readonly kind: "no-tls"; readonly address: string; readonly detail: string }
  | {
      readonly kind: "certificate-mismatch";
      readonly address: string;
      readonly expected: string;
      readonly presented: string;
    };

/**
 * The one sentence for each problem, and what to do about it.
 *
 * | problem              | code                   | look at                    |
 * |----------------------|------------------------|----------------------------|
 * | no-interface         | no-boot-interface      | drivers in the initramfs   |
 * | no-link              | no-link                | cable, switch port         |
 * | no-lease             | no-lease               | DHCP server, VLAN          |
 * | no-route             | no-route               | gateway, netmask           |
 * | port-refused         | controller-refused     | musterd is not running     |
 * | unreachable          | controller-unreachable | firewall, address          |
 * | no-tls               | controller-refused     | another service answers    |
 * | certificate-mismatch | certificate-mismatch   | another controller answers |
 */
export function diagnoseNetwork(problem: NetworkProblem): MusterError {
  switch (problem.kind) {
    case "no-interface":
      return noInterface(problem);
    case "no-link":
      return new MusterError({
        code: "no-link",
        what: `no link on ${listInterfaces(problem.interfaces)} after ${problem.waitedMs / 1000} s`,
        fix: "check the cable and that the switch port is up",
      });
    case "no-lease":
      return new MusterError({
        code: "no-lease",
        what: `no DHCP answer on ${problem.interface} (${problem.mac}) in ${problem.tries} tries`,
        fix: "check that dnsmasq runs on the controller (`muster doctor`), its range has free addresses and the switch port is in the boot VLAN",
      });
    case "no-route":
      return new MusterError({
        code: "no-route",
        what: `no route from ${problem.own} to the controller ${problem.address}`,
        fix: "check netmask and gateway in the DHCP answer, or `controller.address` in muster.yaml",
      });
    case "port-refused":
      return new MusterError({
        code: "controller-refused",
        what: `the controller ${problem.address} refuses connections`,
        fix: "start musterd there (systemctl status musterd) or check the port",
      });
    case "unreachable":
      return new MusterError({
        code: "controller-unreachable",
        what: `the controller ${problem.address} does not answer (${problem.detail})`,
        fix: "check that it is up and that no firewall drops the port",
      });
    case "no-tls":
      return new MusterError({
        code: "controller-refused",
        what: `what answers at ${problem.address} does not speak TLS as a controller does (${problem.detail})`,
        fix: "check that musterd has this port and no other service does",
      });
    case "certificate-mismatch":
      return new MusterError({
        code: "certificate-mismatch",
        what: `${problem.address} is not the controller this node was booted by: the boot script says authority ${problem.expected}, it presents ${problem.presented}`,
        fix: "another controller answers, or its authority was made anew: check `muster doctor` there, and restart the node so that it gets a fresh boot script",
      });
    default:
      return problem satisfies never;
  }
}

function noInterface(problem: NetworkProblem & { readonly kind: "no-interface" }): MusterError {
  const wanted = problem.bootMac === undefined ? "" : ` (the firmware booted from ${problem.bootMac})`;
  const there =
    problem.interfaces.length === 0 ? "there is none" : `there is ${listInterfaces(problem.interfaces)}`;
  const missing =
    problem.driverless.length === 0 ? "" : `; no driver for PCI device ${problem.driverless.join(", ")}`;
  return new MusterError({
    code: "no-boot-interface",
    what: `no network interface to boot from${wanted}: ${there}${missing}`,
    fix:
      problem.driverless.length === 0
        ? "check that the network card is seen by the firmware and that the image's kernel has its driver"
        : "use an image whose kernel has the driver, and check that the initramfs holds it (`muster initramfs list IMAGE`)",
  });
}

function listInterfaces(interfaces: readonly InterfaceFacts[]): string {
  return interfaces
    .map(({ name, mac, driver }) => `${name} (${mac}${driver === "" ? "" : `, ${driver}`})`)
    .join(", ");
}
