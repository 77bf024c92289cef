import { parseFieldPath, renderFieldPath } from "../../fields/field-path.ts";
import { findField } from "../../fields/field-tree.ts";
import type { RecordKind } from "../../inventory/changes.ts";
import type { ParsedText, RecordFinding } from "../../text/parse-inventory.ts";
import type { TextFinding } from "../../text/text-finding.ts";
import type { RefusedRequest, RequestFindingView } from "../api-client.ts";

/** What the controller finds wrong with a change that came of texts, at its places there. */
export function locateRefusal(
  texts: readonly ParsedText[],
  { findings }: RefusedRequest,
): { readonly findings: readonly TextFinding[]; readonly elsewhere: readonly string[] } {
  const textOf = new Map(
    texts.flatMap((text) => text.records.map(({ kind, name }) => [`${kind} ${name}`, text] as const)),
  );
  const byText = new Map<ParsedText, RecordFinding[]>();
  const elsewhere: string[] = [];
  for (const finding of findings) {
    const found = recordOf(finding);
    const text = found === undefined ? undefined : textOf.get(`${found.kind} ${found.name}`);
    if (found === undefined || text === undefined) {
      elsewhere.push(finding.at === "" ? finding.what : `${finding.at}: ${finding.what}`);
      continue;
    }
    const known = byText.get(text);
    if (known === undefined) byText.set(text, [found]);
    else known.push(found);
  }
  return { findings: [...byText].flatMap(([text, found]) => text.locate(found)), elsewhere };
}

/** "c001: devices.eno1.mac", "profile gpu: image", "c001 devices.eno1": what the controller writes of a record. */
function recordOf({ at, what, fix }: RequestFindingView): RecordFinding | undefined {
  const [, isProfile, name, path = ""] = /^(profile )?([^\s:]+)(?:(?:: | )(.+))?$/.exec(at) ?? [];
  if (name === undefined) return undefined;
  const kind: RecordKind = isProfile === undefined ? "node" : "profile";
  return { kind, name, at: fieldOf(path, what), what, ...(fix === undefined ? {} : { fix }) };
}

/** "devices.eno1.mac" as it is; of "device eno1" the field whose value the sentence begins with. */
function fieldOf(text: string, what: string): string {
  const [, device] = /^device (\S+)$/.exec(text) ?? [];
  if (device !== undefined) {
    const field = /^[0-9a-f]{2}:/i.test(what) ? "mac" : /^\d+\./.test(what) ? "address" : "address6";
    return renderFieldPath(["devices", device, field]);
  }
  try {
    return text !== "" && findField(parseFieldPath(text)) !== undefined ? text : "";
  } catch {
    return "";
  }
}
