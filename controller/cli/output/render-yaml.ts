// Loaded lazily as a file of ours, for the reason given in http-agent.ts.
import { stringify } from "yaml";

/** Data as YAML, without anchors: what people read and paste. */
export function renderYaml(data: unknown): string {
  return stringify(data, { aliasDuplicateObjects: false });
}
