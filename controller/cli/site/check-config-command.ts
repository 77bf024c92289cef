import { DEFAULT_CONFIG_PATH } from "../../config/default-config.ts";
import { readConfig } from "../../config/read-config.ts";
import type { CliContext } from "../cli-context.ts";
import { renderCount } from "../output/render-text.ts";

/** `muster config check`. Needs no controller. Findings are the error; the completed configuration is the data. */
export async function checkConfig(context: CliContext, file: string | undefined): Promise<number> {
  const path = file ?? DEFAULT_CONFIG_PATH;
  const config = await readConfig(path, "/usr/lib/muster/artifacts");
  if (context.output !== "table") await context.print(config, () => "");
  const { rules } = config.enrolment;
  context.note(
    `${path} is right: ${config.controller.address} serves ${config.network.subnet}, DHCP by ${config.dhcp.mode}, ${renderCount(rules.length, "approval rule")}`,
  );
  return 0;
}
