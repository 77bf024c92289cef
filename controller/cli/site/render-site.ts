import type { EventView, FindingView, SiteStatus, TokenView } from "../../api/rest/schemas.ts";
import {
  printable,
  renderAge,
  renderCount,
  renderDuration,
  renderFields,
  renderTable,
  renderTime,
} from "../output/render-text.ts";

export function renderTokenTable(tokens: readonly TokenView[], now: Date): string {
  return renderTable(
    ["NAME", "CREATED", "LAST USED"],
    tokens.map(({ name, createdAt, lastUsedAt }) => [
      name,
      renderTime(createdAt),
      lastUsedAt === undefined ? "never" : renderAge(lastUsedAt, now),
    ]),
  );
}

/** One event, one line; its remedy, when it has one, on a second, indented. */
export function renderEvent({ at, severity, kind, node, what, fix }: EventView): string {
  const remedy = fix === undefined || fix === "" ? "" : `    fix: ${printable(fix)}\n`;
  const words = [renderTime(at), severity.padEnd(7), kind, node ?? "-", what];
  return `${printable(words.join("  "))}\n${remedy}`;
}

/** `muster doctor`: what is wrong first, each with its remedy; what is right in a line each after that. */
export function renderFindings(findings: readonly FindingView[]): string {
  const order = ["error", "warning", "ok"];
  return findings
    .toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status))
    .map(({ status, check, what, fix }) => {
      const remedy =
        fix === undefined || fix === "" || status === "ok" ? "" : `         fix: ${printable(fix)}\n`;
      return `${status.padEnd(7)}  ${printable(`${check}: ${what}`)}\n${remedy}`;
    })
    .join("");
}

/** `muster status`. */
export function renderStatus(status: SiteStatus): string {
  const { total, ...states } = status.nodes;
  const counted = Object.entries(states).filter(([, count]) => count > 0);
  const detail = counted.map(([state, count]) => `${count} ${state}`).join(", ");
  return renderFields([
    ["musterd", `${status.version}, up ${renderDuration(status.uptimeSeconds * 1000)}`],
    ["nodes", detail === "" ? String(total) : `${total}: ${detail}`],
    ["alerts", status.alerts === 0 ? undefined : `${renderCount(status.alerts, "node")}: muster node list`],
    ["pending", renderCount(status.pending, "machine")],
    ["images", String(status.images)],
    ["authority", status.authorityFingerprint],
  ]);
}
