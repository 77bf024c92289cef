import type { TokenView } from "../../api/rest/schemas.ts";
import type { CliContext } from "../cli-context.ts";
import { renderTokenTable } from "./render-site.ts";

/** `muster token create`. The token is the only data: TOKEN=$(muster token create ci). */
export async function createToken(context: CliContext, name: string): Promise<number> {
  const created = await context.api.send<{ name: string; token: string }>("POST", "/tokens", { name });
  await context.print(created, () => `${created.token}\n`);
  context.note(
    "keep it: it is not shown again. Use it as MUSTER_TOKEN with MUSTER_CONTROLLER=https://HOST:9884",
  );
  return 0;
}

/** `muster token list`. */
export async function listTokens(context: CliContext): Promise<number> {
  const { tokens } = await context.api.get<{ tokens: readonly TokenView[] }>("/tokens");
  if (tokens.length > 0 || context.output !== "table") {
    await context.print(tokens, () => renderTokenTable(tokens, context.process.now()));
  }
  if (tokens.length === 0) context.note("there are no tokens: muster token create NAME");
  return 0;
}

/** `muster token delete`. */
export async function deleteToken(context: CliContext, name: string): Promise<number> {
  await context.api.send<null>("DELETE", `/tokens/${encodeURIComponent(name)}`);
  context.note(`token ${name} is void`);
  return 0;
}
