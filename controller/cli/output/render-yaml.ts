// Loaded lazily as a file of ours: of a CommonJS package loaded by import() a bundle keeps only the default export.
import { stringify } from "yaml";

/** Data as YAML, without anchors: what people read and paste. */
export function renderYaml(data: unknown): string {
  return stringify(data, { aliasDuplicateObjects: false });
}
