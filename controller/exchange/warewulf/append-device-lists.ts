import { expandProfiles } from "../../fields/merge-fields.ts";
import type { Json } from "../../fields/fields.ts";
import { renderFieldPath } from "../../fields/field-path.ts";
import type { RecordDraft } from "./record-reading.ts";

/**
 * Warewulf merges name servers, search domains and routes tag by tag: a node's DNS1 replaces the DNS1 of its profiles. Muster's
 * lists append. Says a node's lists so that it keeps what it has: without what profiles say already, with "~x" for what its own
 * tags replace.
 */
export function appendDeviceLists(drafts: readonly RecordDraft[]): void {
  const profiles = new Map(
    drafts.filter(({ kind }) => kind === "profile").map((draft) => [draft.name, draft]),
  );
  const lists = new Map(
    [...profiles].map(([name, { fields }]) => [name, { profiles: listOf(fields["profiles"]) }]),
  );
  for (const draft of drafts) {
    if (draft.kind === "profile") continue;
    const chain = expandProfiles(listOf(draft.fields["profiles"]), lists).flatMap(
      (name) => profiles.get(name) ?? [],
    );
    const keys = new Set([...chain, draft].flatMap(({ tagLists }) => [...tagLists.keys()]));
    for (const key of keys) appendList(draft, chain, key);
  }
}

function appendList(draft: RecordDraft, chain: readonly RecordDraft[], key: string): void {
  const inherited = chain.flatMap(({ tagLists }) => tagLists.get(key) ?? []);
  const own = draft.tagLists.get(key);
  if (inherited.length + (own === undefined ? 0 : 1) < 2) return;
  const tags = new Map([...inherited, ...(own === undefined ? [] : [own])].flatMap((said) => [...said]));
  const wanted = new Set([...tags].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, values]) => values));
  const said = new Set(inherited.flatMap((values) => [...values.values()].flat()));
  const words = [
    ...[...said].filter((word) => !wanted.has(word)).map((word) => `~${word}`),
    ...[...wanted].filter((word) => !said.has(word)),
  ];
  const before = [...new Set([...(own?.values() ?? [])].flat())];
  if (words.join() === before.join()) return;
  const [device = "", list = ""] = JSON.parse(key) as readonly string[];
  setList(draft, device, list, words);
  const origin = draft.origins.get(renderFieldPath(["devices", device, list])) ?? draft.at;
  draft.items.push({
    ...origin,
    key: `network devices.${device}.tags`,
    outcome: "changed",
    why: `tags of the node replace those of profiles, lists are added to them; ${list} became ${words.length === 0 ? "nothing of its own" : words.join(", ")} so that the node keeps what it has`,
  });
}

function setList(draft: RecordDraft, device: string, list: string, words: readonly string[]): void {
  const devices = (draft.fields["devices"] ??= {}) as Record<string, Record<string, Json>>;
  const fields = (devices[device] ??= {});
  if (words.length === 0) Reflect.deleteProperty(fields, list);
  else fields[list] = words;
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? (value as readonly string[]) : [];
}
