import type { Finding } from "../../doctor/plan-diagnosis.ts";
import type { LogHistory } from "../../events/log-history.ts";
import type { Telemetry } from "../../events/telemetry.ts";
import type { Enrolments } from "../../identity/enrolments.ts";
import type { ImpostorWatch } from "../../identity/watch-impostors.ts";
import type { Hooks } from "../../hooks/open-hooks.ts";
import type { BlobStore } from "../../images/blob-store.ts";
import type { Inventory } from "../../inventory/inventory.ts";
import type { DhcpSnippetFormat } from "../../netboot/render-dhcp-snippet.ts";
import type { RuntimeOverlays } from "../../overlays/serve-runtime-overlays.ts";
import type { Fleet } from "../../sessions/fleet.ts";
import type { Directives } from "../../sessions/open-directives.ts";

/** A static overlay: a directory NAME/rootfs below `paths.overlays`. */
interface OverlaySummary {
  readonly name: string;
  readonly path: string;
}

/** What the REST API speaks for. */
export interface ApiDependencies {
  readonly inventory: Inventory;
  readonly telemetry: Telemetry;
  /** What nodes said. */
  readonly logs: Pick<LogHistory, "listLogs" | "onLogs">;
  readonly fleet: Fleet;
  /** What nodes are asked to do. */
  readonly directives: Pick<Directives, "send">;
  /** Image of nodes that name none: boot.image of muster.yaml. */
  readonly defaultImage: string | undefined;
  readonly blobs: BlobStore;
  readonly enrolments: Enrolments;
  readonly impostors: Pick<ImpostorWatch, "clear">;
  /** The site's programs. */
  readonly hooks: Pick<Hooks, "directory" | "list" | "test" | "describeNode">;
  listOverlays(): Promise<readonly OverlaySummary[]>;
  /** How nodes stand to their runtime overlays. */
  readonly runtimeOverlays: Pick<RuntimeOverlays, "statusOf" | "troubles">;
  runDoctor(signal: AbortSignal): Promise<readonly Finding[]>;
  /** What to put into the site's DHCP server. */
  renderSnippet(format: DhcpSnippetFormat): Promise<string>;
  readonly authority: {
    /** SHA-256 of the certificate (DER), 64 hex digits. */
    readonly fingerprint: string;
    readonly certificatePem: string;
  };
  /** Version of this program. */
  readonly version: string;
  readonly startedAt: Date;
  /** The clock; telling the time is an effect. */
  now(): Date;
  /** 32 random bytes for a new API token. */
  randomBytes(size: number): Buffer;
  /** Told of a request that failed by a bug: whoever asked is only told that it did. */
  readonly onBug: (error: unknown, where: string) => void;
}

/** How requests reach one server of the API, and so who may make them. */
export type ApiAccess =
  | {
      /** The control socket: whoever may open it (its mode and group decide) may do everything. */
      readonly by: "socket";
    }
  | {
      /** HTTPS: every request carries `Authorization: Bearer TOKEN`. */
      readonly by: "token";
      /** The controller's certificate; the authority's is sent with it, so that clients can pin that. */
      readonly certificatePem: string;
      readonly keyPem: string;
    };
