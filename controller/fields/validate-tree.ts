import type { FieldPath } from "./field-path.ts";

/** Enough for what templates take; little enough that a YAML bomb is refused before it has grown. */
const MAX_DEPTH = 16;
const MAX_VALUES = 10_000;
const MAX_BYTES = 256 * 1024;

/** The first thing that keeps free YAML from being kept; undefined when there is none. Lines and tabs may be in its texts. */
export function validateTree(tree: unknown): { readonly path: FieldPath; readonly what: string } | undefined {
  let values = 0;
  let bytes = 0;
  const visit = (value: unknown, path: FieldPath): { path: FieldPath; what: string } | undefined => {
    values += 1;
    if (path.length > MAX_DEPTH) return { path: [], what: `is nested deeper than ${MAX_DEPTH}` };
    if (values > MAX_VALUES) return { path: [], what: `holds more than ${MAX_VALUES} values` };
    if (typeof value === "string") bytes += value.length;
    if (bytes > MAX_BYTES) return { path: [], what: `is larger than ${MAX_BYTES / 1024} KiB` };
    if (typeof value === "object" && value !== null) {
      for (const [key, below] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
        if (typeof key === "string") {
          bytes += key.length;
          if (key === "__proto__" || /\p{Cc}/u.test(key))
            return { path, what: `${JSON.stringify(key)} is not a key` };
        }
        const wrong = visit(below, [...path, key]);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    }
    return isKept(value) ? undefined : { path, what: "holds control characters or is no value of YAML" };
  };
  return visit(tree, []);
}

function isKept(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed() && !/[^\P{Cc}\n\t]/u.test(value);
  return (
    value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))
  );
}
