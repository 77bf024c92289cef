import type { Place } from "./parse-located-yaml.ts";

/** Where something stands in a Warewulf file, in its own words. */
export interface Origin extends Place {
  readonly kind: "node" | "profile" | "file";
  /** Of the node or profile; "" for the file itself. */
  readonly name: string;
  /** Warewulf's words: "network devices.ib0.tags.mode". */
  readonly key: string;
  /** As written; absent for lists, maps and secrets. */
  readonly value?: string;
}

/** Something that is not in the inventory as it was in the file: left out, or carried over in another form. */
export interface ImportItem extends Origin {
  readonly outcome: "left" | "changed";
  /** Left: why. Changed: what it became. */
  readonly why: string;
  /** What the operator can do about it. */
  readonly fix?: string;
}
