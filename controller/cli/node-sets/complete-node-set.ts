import type { GroupList } from "../../api/rest/node-set-routes.ts";
import type { NodeSummaryList } from "../../api/rest/schemas.ts";
import type { CliContext } from "../cli-context.ts";

/** What can be written in a node set as it is. */
const PLAIN_GROUP = /^[A-Za-z0-9_.:=/+~%-]+$/;

/** What a node set may become, from what is written of it: the name or the group (@) after its last operator. */
export async function completeNodeSet({ api }: CliContext, written: string): Promise<readonly string[]> {
  const [, before = "", last = ""] = /^(.*[,!&^(])?(.*)$/s.exec(written) ?? [];
  if (!last.startsWith("@")) {
    const { nodes } = await api.get<NodeSummaryList>("/node-summaries");
    return nodes.map(({ name }) => before + name);
  }
  const { groups } = await api.get<GroupList>("/node-groups");
  return groups.filter(({ name }) => PLAIN_GROUP.test(name)).map(({ name }) => `${before}@${name}`);
}
