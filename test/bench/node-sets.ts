import { join } from "node:path";

import { foldNodeSet, parseNodeSet } from "#proto/contract/node-set.ts";
import { runCommand } from "#proto/host/run-command.ts";

import { findPython } from "../fixtures/ask-clustershell.ts";
import { openRandom } from "../fixtures/open-random.ts";
import { type Bench, median, renderTable } from "./render-table.ts";

const RUNS = 7;
const TIMER = join(import.meta.dirname, "../fixtures/time-clustershell.py");

interface Task {
  readonly what: string;
  readonly question: { readonly text: string } | { readonly names: readonly string[] };
  /** Minutes, in ClusterShell. */
  readonly isOursOnly?: true;
}

/** Folding and expanding 100,000 names, beside ClusterShell in the same minute: one process each, without its start. */
export const benchNodeSets: Bench = async (say) => {
  const tasks = planTasks();
  say("node sets: ClusterShell");
  const theirs = await timeClusterShell(tasks.filter(({ isOursOnly }) => isOursOnly !== true));
  say("node sets: muster");
  // The first of each is the one a command line pays: nothing is compiled yet.
  const rows = tasks.map((task) => {
    const times = Array.from({ length: RUNS }, () => timeOnce(task));
    const other = theirs.get(task.what);
    const [first = Number.NaN] = times;
    return [
      task.what,
      first.toFixed(0),
      median(times).toFixed(0),
      other === undefined ? "" : other.toFixed(0),
      other === undefined ? "" : `${(other / median(times)).toFixed(0)} x`,
    ];
  });
  return renderTable(
    ["node sets (aim 100 ms)", "muster, first time, ms", "muster, ms", "ClusterShell, ms", "ratio"],
    rows,
  );
};

function planTasks(): readonly Task[] {
  const plain = "c[000001-100000]";
  const racks = "r[1-100]n[1-1000]";
  const half = (text: string): readonly string[] => {
    const random = openRandom(1);
    return parseNodeSet(text).filter(() => random(2) === 0);
  };
  return [
    { what: `expand ${plain}`, question: { text: plain } },
    { what: `fold ${plain}`, question: { names: parseNodeSet(plain) } },
    { what: "fold a random half of it", question: { names: half(plain) } },
    { what: `expand ${racks}`, question: { text: racks } },
    { what: `fold ${racks}`, question: { names: parseNodeSet(racks) } },
    { what: "fold a random half of that", question: { names: half(racks) }, isOursOnly: true },
    { what: "fold a random half of r[1-100]n[1-100]", question: { names: half("r[1-100]n[1-100]") } },
  ];
}

function timeOnce({ question }: Task): number {
  const started = performance.now();
  if ("names" in question) foldNodeSet(question.names);
  else parseNodeSet(question.text);
  return performance.now() - started;
}

async function timeClusterShell(tasks: readonly Task[]): Promise<ReadonlyMap<string, number>> {
  const [program, ...args] = await findPython();
  // Once: the slowest takes seconds.
  const { stdout } = await runCommand({
    program,
    args: [...args, TIMER],
    input: tasks.map(({ question }) => `${JSON.stringify(question)}\n`).join(""),
    deadlineMs: 300_000,
  });
  const lines = stdout.trimEnd().split("\n");
  return new Map(
    tasks.map(({ what }, at) => [what, (JSON.parse(lines[at] ?? "{}") as { readonly ms: number }).ms]),
  );
}
