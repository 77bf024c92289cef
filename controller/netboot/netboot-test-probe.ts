import { createSocket } from "node:dgram";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseDhcpAnswer } from "./parse-dhcp-answer.ts";
import { renderDhcpDiscover } from "./render-dhcp-discover.ts";

/** One DHCP client to be; see {@link probeDhcp} in netboot-test-lab.ts. Runs inside the test's network namespace. */
export interface Probe {
  readonly mac: string;
  /** DISCOVER answered by an offer; request: goes on to REQUEST, as a client that takes the lease. */
  readonly request?: boolean;
  readonly architecture?: number;
  readonly vendorClass?: string;
  readonly userClass?: string;
  readonly clientId?: string;
  /** Asks 10.77.0.1:4011, as a PXE client of a boot server that was only a proxy. */
  readonly bootServer?: boolean;
  /** The entry of the boot menu asked for. */
  readonly pxeItem?: number;
  readonly waitMs?: number;
}

/** What a probe got; undefined: no answer in time. */
export interface ProbeAnswer {
  readonly address: string;
  readonly bootFile: string;
  readonly nextServer: string;
  readonly vendorClass?: string;
  readonly router?: string;
  readonly ipxe?: string;
  readonly pxe?: string;
}

const CLIENT_ADDRESS = "10.77.0.250";
const SERVER_ADDRESS = "10.77.0.1";

async function ask(probe: Probe, type: 1 | 3, offered?: string): Promise<ProbeAnswer | undefined> {
  // Sends from the address of node0, so that a broadcast leaves by node0; a socket with an address receives none.
  const sender = createSocket({ type: "udp4", reuseAddr: true });
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const transaction = Math.floor(Math.random() * 2 ** 32);
  const options: [number, Uint8Array][] = [];
  const text = (code: number, value: string | undefined): void => {
    if (value !== undefined) options.push([code, Buffer.from(value)]);
  };
  text(60, probe.vendorClass);
  text(77, probe.userClass);
  text(61, probe.clientId);
  if (probe.architecture !== undefined) options.push([93, Uint8Array.of(0, probe.architecture)]);
  if (probe.pxeItem !== undefined) {
    options.push([43, Uint8Array.of(71, 4, probe.pxeItem >> 8, probe.pxeItem & 255, 0, 0, 255)]);
  }
  if (offered !== undefined) {
    // With the server's identifier, as who selects an offer asks (RFC 2131 section 4.3.2); without, the server would
    // take it for a client that reboots with an address from before.
    for (const [code, address] of [
      [50, offered],
      [54, SERVER_ADDRESS],
    ] as const) {
      options.push([code, Uint8Array.from(address.split(".").map(Number))]);
    }
  }
  const packet = renderDhcpDiscover({
    mac: parseMacAddress(probe.mac),
    transaction,
    type,
    options,
    ...(probe.bootServer === true ? { clientAddress: CLIENT_ADDRESS } : {}),
  });
  try {
    return await new Promise((resolve, reject) => {
      socket.once("error", reject);
      const timer = setTimeout(() => {
        resolve(undefined);
      }, probe.waitMs ?? 3000);
      const receive = (bytes: Buffer): void => {
        const answer = parseDhcpAnswer(bytes);
        if (answer?.transaction !== transaction) return;
        clearTimeout(timer);
        const router = answer.options.get(3);
        const ipxe = answer.options.get(175);
        const pxe = answer.options.get(43);
        resolve({
          address: answer.type === 6 ? "refused" : answer.yourAddress,
          bootFile: answer.bootFile,
          nextServer: answer.nextServer,
          ...(answer.vendorClass === undefined ? {} : { vendorClass: answer.vendorClass }),
          ...(router === undefined ? {} : { router: [...router].join(".") }),
          ...(ipxe === undefined ? {} : { ipxe: ipxe.toString("hex") }),
          ...(pxe === undefined ? {} : { pxe: pxe.toString("hex") }),
        });
      };
      sender.once("error", reject);
      sender.on("message", receive);
      socket.on("message", receive);
      socket.bind(68, () => {
        sender.bind(68, CLIENT_ADDRESS, () => {
          sender.setBroadcast(true);
          if (probe.bootServer === true) sender.send(packet, 4011, SERVER_ADDRESS);
          else sender.send(packet, 67, "255.255.255.255");
        });
      });
    });
  } finally {
    sender.close();
    socket.close();
  }
}

const answers: (ProbeAnswer | null)[] = [];
for (const probe of JSON.parse(process.argv[2] ?? "[]") as Probe[]) {
  let answer = await ask(probe, probe.bootServer === true ? 3 : 1);
  if (probe.request === true && answer !== undefined) answer = await ask(probe, 3, answer.address);
  answers.push(answer ?? null);
}
process.stdout.write(JSON.stringify(answers));
