import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";
import { runOnTerminal, streamCommand } from "#proto/host/run-command.ts";

import type { SshTarget, SshTargets } from "../../api/rest/ssh-routes.ts";
import type { CliContext } from "../cli-context.ts";
import { foldTexts, type NodeOutput, renderFolded, renderTroubles } from "./fold-output.ts";
import {
  explainSshFailure,
  planSshArguments,
  renderKnownHosts,
  SSH_FAILED,
  type SshRequest,
} from "./plan-ssh.ts";
import { printable } from "../output/render-text.ts";

/** Options of `muster ssh` as commander gives them. */
export interface SshOptions {
  readonly fold?: true;
  readonly fanout: string;
  readonly timeout?: string;
  readonly user?: string;
  readonly sshOption?: readonly string[];
}

/** Kept of each node and stream where output is folded: thousands of nodes are held in memory at once. */
const MAX_KEPT = 1024 * 1024;
/** What shells report of a program that SIGINT (2) ended. */
const EXIT_INTERRUPTED = 130;
const CLEAR_LINE = "\r\u001b[K";

/** Gets each line of a node as it comes. */
type LineSink = (node: string, line: string, stream: "stdout" | "stderr") => void;

/**
 * `muster ssh`. Exit status: 0 when the command ended with 0 everywhere, otherwise the largest there was; 255 for nodes
 * that could not be reached, and where it had to be killed.
 */
export async function runSsh(
  context: CliContext,
  nodeset: string,
  words: readonly string[],
  options: SshOptions,
): Promise<number> {
  const limits = {
    fanout: readCount("--fanout", options.fanout),
    timeoutMs: options.timeout === undefined ? undefined : readCount("--timeout", options.timeout) * 1000,
  };
  const { targets } = await context.api.get<SshTargets>("/ssh-targets", { names: nodeset });
  noteNotUp(context, targets);
  const directory = await mkdtemp(join(tmpdir(), "muster-ssh-"));
  try {
    const knownHostsPath = join(directory, "known_hosts");
    await writeFile(knownHostsPath, renderKnownHosts(targets));
    const request: SshRequest = {
      words,
      ...(options.user === undefined ? {} : { user: options.user }),
      sshOptions: options.sshOption ?? [],
      knownHostsPath,
    };
    if (words.length === 0) return await openShell(context, targets, request);
    const isFolded = options.fold === true || context.output !== "table";
    const run = isFolded ? runFolded : runPrefixed;
    return await run(context, targets, { ...limits, request, directory });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface SshRun {
  readonly request: SshRequest;
  readonly directory: string;
  readonly fanout: number;
  readonly timeoutMs: number | undefined;
}

async function openShell(
  context: CliContext,
  targets: readonly SshTarget[],
  request: SshRequest,
): Promise<number> {
  const [target, ...others] = targets;
  if (target === undefined || others.length > 0) {
    throw new MusterError({
      code: "argument-invalid",
      what: `a shell is on one node; these are ${targets.length}`,
      fix: "name one node, or give the command to run on all of them",
    });
  }
  if (!context.process.outIsTerminal) {
    throw new MusterError({
      code: "argument-invalid",
      what: "without a command this opens a shell, which needs a terminal",
      fix: `give a command: muster ssh ${target.node} uptime`,
    });
  }
  const { address } = target;
  if (address === undefined)
    throw new MusterError({ code: "argument-invalid", what: `${target.node}: ${NO_ADDRESS}` });
  const args = planSshArguments({ node: target.node, address }, request, undefined);
  return runOnTerminal({ program: "ssh", args }).catch((error: unknown) => {
    throw sshMissing(error);
  });
}

async function runPrefixed(context: CliContext, targets: readonly SshTarget[], run: SshRun): Promise<number> {
  const { process } = context;
  const shown = showFor(context);
  const outputs = await runEverywhere(context, targets, run, (node, line, stream) => {
    const text = `${node}: ${shown(line)}\n`;
    if (stream === "stdout") process.out(text);
    else process.err(text);
  });
  return finish(context, outputs);
}

async function runFolded(context: CliContext, targets: readonly SshTarget[], run: SshRun): Promise<number> {
  const { process } = context;
  const kept = new Map(targets.map(({ node }) => [node, { stdout: "", stderr: "" }]));
  const waiting = new Set(targets.map(({ node }) => node));
  const isShown = process.errIsTerminal && context.output === "table";
  const progress = (): void => {
    if (!isShown) return;
    const done = `${targets.length - waiting.size} of ${targets.length} done`;
    process.err(
      `${CLEAR_LINE}${waiting.size === 0 ? "" : `${done}, waiting for ${foldNodeSet(waiting)}`.slice(0, 100)}`,
    );
  };
  progress();
  const outputs = await runEverywhere(
    context,
    targets,
    run,
    (node, line, stream) => {
      const texts = kept.get(node);
      if (texts !== undefined && texts[stream].length < MAX_KEPT) texts[stream] += `${line}\n`;
    },
    (node) => {
      waiting.delete(node);
      progress();
    },
  ).finally(() => {
    if (isShown) process.err(CLEAR_LINE);
  });
  const whole = outputs.map((output) => ({ ...output, ...kept.get(output.node) }));
  const shown = showFor(context);
  const folded = (stream: "stdout" | "stderr") =>
    foldTexts(whole.map((output) => ({ node: output.node, text: output[stream] }))).map((part) => ({
      ...part,
      text: part.text.split("\n").map(shown).join("\n"),
    }));
  await context.print(whole, () => renderFolded(folded("stdout")));
  if (context.output === "table") {
    for (const { nodes, text } of folded("stderr")) {
      for (const line of text.trimEnd().split("\n")) context.note(`${nodes}: ${line}`);
    }
    const cut = whole.filter(({ stdout, stderr }) => Math.max(stdout.length, stderr.length) >= MAX_KEPT);
    if (cut.length > 0) {
      context.note(
        `${foldNodeSet(cut.map(({ node }) => node))}: wrote more than 1 MiB; only the beginning is shown`,
      );
    }
  }
  return finish(context, whole);
}

/** What nodes write may hold terminal escapes; a file or a program that reads it gets it as it is. */
function showFor({ process }: CliContext): (line: string) => string {
  return process.outIsTerminal ? (line) => printable(line, "many") : (line) => line;
}

function finish(context: CliContext, outputs: readonly NodeOutput[]): number {
  for (const line of renderTroubles(outputs)) context.note(line);
  if (context.process.signal.aborted) return EXIT_INTERRUPTED;
  return Math.max(
    0,
    ...outputs.map(({ exitCode, failure }) => (failure === undefined ? (exitCode ?? 0) : SSH_FAILED)),
  );
}

/** Runs the command on all nodes, at most `fanout` at a time. Ctrl-C ends all connections; what came until then counts. */
async function runEverywhere(
  { process }: CliContext,
  targets: readonly SshTarget[],
  run: SshRun,
  onLine: LineSink,
  onEnd?: (node: string) => void,
): Promise<readonly NodeOutput[]> {
  const outputs: NodeOutput[] = [];
  const stop = new AbortController();
  const signal = AbortSignal.any([process.signal, stop.signal]);
  const queue = targets.values();
  const work = async (): Promise<void> => {
    for (const target of queue) {
      outputs.push(await runOnNode(target, run, onLine, signal));
      onEnd?.(target.node);
    }
  };
  const workers = Array.from({ length: Math.min(run.fanout, targets.length) }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    // What fails here fails for every node: there is no ssh.
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
  return outputs.toSorted((a, b) => compareNodeNames(a.node, b.node));
}

const NO_ADDRESS = "has no address in the inventory, and was not seen at one";

async function runOnNode(
  target: SshTarget,
  run: SshRun,
  onLine: LineSink,
  signal: AbortSignal,
): Promise<NodeOutput> {
  const { node, address } = target;
  const nothing = { node, stdout: "", stderr: "" };
  if (address === undefined) return { ...nothing, failure: NO_ADDRESS };
  const logPath = join(run.directory, `${node}.log`);
  try {
    const exitCode = await streamCommand(
      {
        program: "ssh",
        args: planSshArguments({ node, address }, run.request, logPath),
        ...(run.timeoutMs === undefined ? {} : { deadlineMs: run.timeoutMs }),
        onLine: (line, stream) => {
          onLine(node, line, stream);
        },
      },
      signal,
    );
    if (exitCode !== SSH_FAILED) return { ...nothing, exitCode };
    const log = await readFile(logPath, "utf8").catch(() => "");
    if (log.trim() === "") return { ...nothing, exitCode };
    return { ...nothing, failure: printable(explainSshFailure(log, address)) };
  } catch (error) {
    if (signal.aborted) return { ...nothing, failure: "interrupted" };
    if (!(error instanceof MusterError)) throw error;
    if (error.code === "deadline-exceeded") {
      return {
        ...nothing,
        failure: `not done within ${(run.timeoutMs ?? 0) / 1000} s: its connection was closed`,
      };
    }
    if (error.code === "program-missing") throw sshMissing(error);
    return { ...nothing, failure: errorSentence(error) };
  }
}

function sshMissing(error: unknown): unknown {
  if (!(error instanceof MusterError) || error.code !== "program-missing") return error;
  return new MusterError({
    code: "program-missing",
    what: "ssh is not installed on this host",
    fix: "install it: apt-get install openssh-client (Debian, Ubuntu), dnf install openssh-clients (Enterprise Linux)",
  });
}

function noteNotUp(context: CliContext, targets: readonly SshTarget[]): void {
  const notUp = targets.filter(({ state }) => state !== "ready");
  for (const [state, nodes] of Map.groupBy(notUp, (target) => target.state)) {
    context.note(`${foldNodeSet(nodes.map(({ node }) => node))}: ${state}, tried all the same`);
  }
}

function readCount(option: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new MusterError({
    code: "argument-invalid",
    what: `${option} ${text} is not a number from 1`,
    fix: `for example ${option} 60`,
  });
}
