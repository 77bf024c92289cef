/**
 * The iPXE binaries muster hands out, by the name it hands them out under, and where distributions put them,
 * relative to the directory of their ipxe package (`paths.ipxe`).
 *
 * snponly.efi and undionly.kpxe drive the network card through the firmware that just booted from it, so they work
 * on every card that can netboot at all; the "all drivers" builds do not.
 */
export const IPXE_BINARIES = {
  "undionly.kpxe": ["undionly.kpxe"],
  "snponly.efi": ["snponly.efi", "ipxe-snponly-x86_64.efi", "x86_64-efi/snponly.efi"],
  "snponly-arm64.efi": ["snponly-arm64.efi", "arm64-efi/snponly.efi", "ipxe-arm64.efi", "arm64-efi/ipxe.efi"],
} as const satisfies Record<string, readonly string[]>;

export type IpxeBinary = keyof typeof IPXE_BINARIES;

/** A kind of firmware that netboots, as its DHCP request tells. */
export interface BootClient {
  /** dnsmasq tag, ISC and Kea class suffix. */
  readonly tag: "bios" | "efi64" | "efiarm64" | "http64" | "httparm64";
  readonly about: string;
  /** Client system architecture types: RFC 4578 section 2.1, extended by the IANA registry "Processor Architecture Types". */
  readonly architectures: readonly number[];
  readonly binary: IpxeBinary;
  /** tftp: a file name. http: UEFI HTTP boot, a URL, and the vendor class HTTPClient in the answer. */
  readonly transport: "tftp" | "http";
}

/**
 * 7 was meant for EFI byte code and 9 for x86-64, but RFC 4578 had them swapped for years and firmware sends
 * either for x86-64.
 */
export const BOOT_CLIENTS: readonly BootClient[] = [
  { tag: "bios", about: "BIOS", architectures: [0], binary: "undionly.kpxe", transport: "tftp" },
  { tag: "efi64", about: "UEFI x86-64", architectures: [7, 9], binary: "snponly.efi", transport: "tftp" },
  {
    tag: "efiarm64",
    about: "UEFI arm64",
    architectures: [11],
    binary: "snponly-arm64.efi",
    transport: "tftp",
  },
  {
    tag: "http64",
    about: "UEFI x86-64 HTTP boot",
    architectures: [16],
    binary: "snponly.efi",
    transport: "http",
  },
  {
    tag: "httparm64",
    about: "UEFI arm64 HTTP boot",
    architectures: [19],
    binary: "snponly-arm64.efi",
    transport: "http",
  },
];

/** Where machines find this controller's boot service. */
export interface BootService {
  readonly address: string;
  readonly port: number;
}

/** The start script in the TFTP root. */
export const START_SCRIPT = "start.ipxe";

/**
 * The script every iPXE is sent to, whoever gave it its address and however iPXE itself was loaded (iPXE brings its
 * own TFTP, also after UEFI HTTP boot).
 *
 * By TFTP, since dnsmasq answers while musterd restarts: an iPXE that gets no script leaves the machine to its
 * firmware, one that has it waits for musterd. As a URL, since it then needs neither next-server nor option 66,
 * which other declarations of a site's DHCP server may set.
 */
export function startScriptUrl(service: Pick<BootService, "address">): string {
  return `tftp://${service.address}/${START_SCRIPT}`;
}

/** An iPXE binary, for UEFI HTTP boot. */
export function ipxeBinaryUrl(service: BootService, binary: IpxeBinary): string {
  return `http://${service.address}:${service.port}/boot/ipxe-bin/${binary}`;
}
