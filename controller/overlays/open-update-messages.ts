import type { Digest } from "#proto/contract/digest.ts";
import type { Content } from "#proto/gen/muster/v1/overlay.ts";
import type { ConnectResponse } from "#proto/gen/muster/v1/session.ts";
import type { BuiltManifest } from "./open-runtime-manifests.ts";
import { planHelp } from "./plan-overlay-answer.ts";

type ControllerMessage = NonNullable<ConnectResponse["message"]>;

/** The messages that tell nodes what to have: one object for all nodes that are told the same. */
export interface UpdateMessages {
  /** For a node with the manifest `has` ("": none; undefined: it did not say). */
  update(
    has: string | undefined,
    manifest: BuiltManifest,
  ): { readonly message: ControllerMessage; readonly sizeBytes: number };
  trouble(why: string): ControllerMessage;
}

/** Versions of all lists of overlays whose contents are remembered, to know what a node lacks. */
const MAX_REMEMBERED = 64;
/** Different updates kept ready: from each of a few versions to the newest. */
const MAX_READY = 16;

export function openUpdateMessages(): UpdateMessages {
  const filesOf = new Map<string, ReadonlySet<Digest>>([["", new Set()]]);
  const ready = new Map<string, ReturnType<UpdateMessages["update"]>>();
  return {
    update: (has, manifest) => {
      if (!filesOf.has(manifest.digest))
        keep(filesOf, manifest.digest, new Set(manifest.contents.keys()), MAX_REMEMBERED);
      const key = `${has ?? "?"} ${manifest.digest}`;
      const known = ready.get(key);
      if (known !== undefined) return known;
      const built =
        has === manifest.digest
          ? messageOf(manifest.digest, Buffer.alloc(0), [])
          : messageOf(
              manifest.digest,
              manifest.bytes,
              helpFor(has === undefined ? undefined : filesOf.get(has), manifest),
            );
      keep(ready, key, built, MAX_READY);
      return built;
    },
    trouble: (why) => ({
      $case: "overlayUpdate",
      value: { digest: "", manifest: Buffer.alloc(0), contents: [], trouble: why.slice(0, 1000) },
    }),
  };
}

function helpFor(has: ReadonlySet<Digest> | undefined, { contents }: BuiltManifest): Content[] {
  return planHelp(contents, has).flatMap((digest) => {
    const content = contents.get(digest);
    return content?.in === "memory" ? [{ digest, data: content.bytes }] : [];
  });
}

function messageOf(
  digest: Digest,
  manifest: Buffer,
  contents: Content[],
): ReturnType<UpdateMessages["update"]> {
  const sizeBytes = contents.reduce((sum, { data }) => sum + data.length + 80, manifest.length + 80);
  return {
    sizeBytes,
    message: { $case: "overlayUpdate", value: { digest, manifest, contents, trouble: "" } },
  };
}

/** Keeps the newest, and what stands under "": the node that has nothing. */
function keep<K, V>(map: Map<K, V>, key: K, value: V, most: number): void {
  map.set(key, value);
  if (map.size <= most) return;
  const oldest = [...map.keys()].find((other) => other !== "");
  if (oldest !== undefined) map.delete(oldest);
}
