import type { Digest } from "#proto/contract/digest.ts";
import type { StoredContent } from "./read-overlay-snapshot.ts";

/** Contents sent along unasked: together they spare the node one question. */
const MAX_HELP_BYTES = 256 * 1024;
/** Contents in one message: far below the 16 MiB an agent takes, and what 2,000 nodes at once may cost in memory. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** A digest is 71 bytes: more than fits into a request. */
const MAX_ASKED = 50_000;

/** What is known of files by digest. */
type Contents = ReadonlyMap<Digest, StoredContent>;

/**
 * Which contents to send along with a manifest, in its order: those at hand that the node lacks. `has`: the files
 * of the manifest the node has; undefined when that is not known: then nothing is guessed.
 */
export function planHelp(wanted: Contents, has: ReadonlySet<Digest> | undefined): readonly Digest[] {
  if (has === undefined) return [];
  const chosen: Digest[] = [];
  let bytes = 0;
  for (const [digest, content] of wanted) {
    if (has.has(digest) || content.in !== "memory") continue;
    if (bytes + content.sizeBytes > MAX_HELP_BYTES) continue;
    bytes += content.sizeBytes;
    chosen.push(digest);
  }
  return chosen;
}

/** How to answer a node that asks for contents. */
export interface FetchAnswer {
  /** To send now, in the order asked; the node asks again for the rest. */
  readonly send: readonly Digest[];
  readonly tickets: readonly Digest[];
  /** Not in the manifest it was sent: another node's, or of an older version. */
  readonly missing: readonly string[];
}

/** `mine`: the files of the manifest this node was sent last; nothing else is ever answered. */
export function planFetchAnswer(asked: readonly string[], mine: Contents): FetchAnswer {
  const send: Digest[] = [];
  const tickets: Digest[] = [];
  const missing: string[] = [];
  let bytes = 0;
  for (const text of new Set(asked.slice(0, MAX_ASKED))) {
    const digest = text as Digest;
    const content = mine.get(digest);
    if (content === undefined) missing.push(text.slice(0, 100));
    else if (content.in === "blobs") tickets.push(digest);
    else {
      if (send.length > 0 && bytes + content.sizeBytes > MAX_MESSAGE_BYTES) break;
      bytes += content.sizeBytes;
      send.push(digest);
    }
  }
  return { send, tickets, missing };
}
