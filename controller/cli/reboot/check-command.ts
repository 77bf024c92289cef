import { parseVerdict } from "#proto/contract/check-verdict.ts";

import type { AnswerList, AnswerView } from "../../api/rest/directive-routes.ts";
import type { CliContext } from "../cli-context.ts";
import { foldAnswers, foldFailures } from "../output/fold-answers.ts";
import { renderCount, renderTable } from "../output/render-text.ts";

const EXIT_SOME_FAILED = 1;

interface NodeVerdict {
  readonly node: string;
  readonly check: string;
  readonly result: "ok" | "failed";
  readonly text: string;
}

/** `muster node check`: exit status 1 when anything is wrong with any node, or a node could not be asked. */
export async function checkNodes(
  context: CliContext,
  nodeset: string,
  options: { readonly check?: string },
): Promise<number> {
  const { answers } = await context.api.send<AnswerList>("POST", "/checks", {
    names: nodeset,
    ...(options.check === undefined ? {} : { check: options.check }),
  });
  const verdicts = answers.flatMap(verdictsOf);
  const unasked = answers.flatMap(({ node, error }) => (error === undefined ? [] : [{ node, ...error }]));
  if (verdicts.length > 0 || context.output !== "table") {
    await context.print(
      answers.map(({ node, error }) => ({
        node,
        ...(error === undefined ? {} : { error }),
        verdicts: verdicts
          .filter((verdict) => verdict.node === node)
          .map(({ check, result, text }) => ({ check, result, text })),
      })),
      () => renderVerdicts(verdicts),
    );
  }
  for (const line of foldFailures(unasked)) context.note(line);
  const wrong = new Set(verdicts.filter(({ result }) => result === "failed").map(({ node }) => node));
  if (wrong.size === 0 && unasked.length === 0) {
    context.note(`${renderCount(answers.length, "node")} as they should be`);
    return 0;
  }
  context.note(`${wrong.size + unasked.length} of ${renderCount(answers.length, "node")} failed`);
  return EXIT_SOME_FAILED;
}

/** An answer this release cannot read is shown as it is, as failed: silence would be taken for "ok". */
function verdictsOf({ node, lines }: AnswerView): readonly NodeVerdict[] {
  return (lines ?? []).map((line) => {
    const verdict = parseVerdict(line);
    return verdict === undefined
      ? { node, check: "?", result: "failed", text: line }
      : { node, check: verdict.check, result: verdict.isRight ? "ok" : "failed", text: verdict.text };
  });
}

/** What is wrong first; what is the same on several nodes once. */
function renderVerdicts(verdicts: readonly NodeVerdict[]): string {
  const folded = (result: NodeVerdict["result"]): readonly (readonly string[])[] =>
    foldAnswers(
      verdicts
        .filter((verdict) => verdict.result === result)
        .map(({ node, check, text }) => ({ node, text: `${check}\0${text}` })),
    ).map(({ nodes, text }) => {
      const [check = "", found = ""] = text.split("\0");
      return [nodes, check, result, found];
    });
  return renderTable(["NODES", "CHECK", "RESULT", "FOUND"], [...folded("failed"), ...folded("ok")]);
}
