import process from "node:process";

import type { ListrDefaultRendererLogLevels } from "listr2";

import type { CliContext } from "../cli-context.ts";
import { foldAnswers } from "../output/fold-answers.ts";
import type { RestartPhase, RestartProgress } from "./plan-reboot-wait.ts";

/** Follows restarts on standard error. */
interface RestartDisplay {
  show(progress: readonly RestartProgress[]): void;
  /** Ends the display. */
  end(): Promise<void>;
}

const MIN_COLUMNS = 40;
/** More lines than this scroll away; then the nodes are counted instead. */
const MOST_LINES = 16;
/** The order in which people read them. */
const PHASES = [
  ["going-down", "going down"],
  ["down", "down"],
  ["booting", "booting"],
  ["failed", "failed"],
  ["gone", "deleted"],
  ["ready", "ready"],
] as const satisfies readonly (readonly [RestartPhase, string])[];

/** A live list on a terminal, a line per change elsewhere. */
export async function showRestart(context: CliContext, nodes: readonly string[]): Promise<RestartDisplay> {
  const isWide = process.stderr.columns >= MIN_COLUMNS;
  return context.process.errIsTerminal && isWide ? showList(nodes) : showLines(context);
}

/** Each change of phase once, nodes that changed together in one line. Ready and failed only: logs are kept short. */
function showLines(context: CliContext): RestartDisplay {
  const said = new Map<string, string>();
  return {
    show: (progress) => {
      const news = progress.filter(({ node, phase, text }) => {
        const isNews = (phase === "ready" || phase === "failed") && said.get(node) !== text;
        if (isNews) said.set(node, text);
        return isNews;
      });
      for (const { nodes, text } of foldAnswers(news)) context.note(`${nodes}: ${text}`);
    },
    end: async () => undefined,
  };
}

async function showList(nodes: readonly string[]): Promise<RestartDisplay> {
  const { Listr, ListrLogger, ProcessOutput } = await import("listr2");
  const isFew = nodes.length <= MOST_LINES;
  const lines = new Map(
    (isFew ? nodes : [ALL]).map((key) => [
      key,
      { tell: noScreenYet, over: Promise.withResolvers<undefined>() },
    ]),
  );
  const list = new Listr(
    [...lines].map(([key, line]) => ({
      title: key,
      task: async (_context, task) => {
        line.tell = (text) => {
          task.title = key === ALL ? text : `${key}: ${text}`;
        };
        line.tell("going down");
        await line.over.promise;
      },
    })),
    {
      concurrent: true,
      exitOnError: false,
      registerSignalListeners: false,
      rendererOptions: {
        // data goes to standard output, and this is none
        logger: new ListrLogger<ListrDefaultRendererLogLevels>({
          processOutput: new ProcessOutput(process.stderr, process.stderr),
        }),
      },
    },
  );
  const shown = list.run().catch(() => undefined);
  let last: readonly RestartProgress[] = [];
  return {
    show: (progress) => {
      last = progress;
      if (!isFew) lines.get(ALL)?.tell(renderCounts(progress));
      for (const { node, phase, text } of progress) {
        const line = lines.get(node);
        line?.tell(text);
        if (phase === "ready") line?.over.resolve(undefined);
      }
    },
    end: async () => {
      const isReady = new Set(last.filter(({ phase }) => phase === "ready").map(({ node }) => node));
      for (const [key, { over }] of lines) {
        if (key === ALL ? isReady.size === nodes.length : isReady.has(key)) over.resolve(undefined);
        else over.reject(new Error("not ready"));
      }
      await shown;
    },
  };
}

/** Not a name a node can have. */
const ALL = "";

/** "12 booting, 2 failed, 50 ready" */
function renderCounts(progress: readonly RestartProgress[]): string {
  return PHASES.flatMap(([phase, word]) => {
    const count = progress.filter((one) => one.phase === phase).length;
    return count === 0 ? [] : [`${count} ${word}`];
  }).join(", ");
}

/** Told before the list shows the line: the list asks for it when it does. */
const noScreenYet: (text: string) => void = () => undefined;
