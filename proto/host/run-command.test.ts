import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { runCommand, runCommandUnchecked, runOnTerminal, startDaemon, streamCommand } from "./run-command.ts";

const sh = (script: string) => ({ program: "sh", args: ["-c", script] });

/** Gone, or a zombie that nobody in this namespace has waited for yet. */
function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.startsWith("Z") === true;
  } catch {
    return true;
  }
}

describe("runCommand", () => {
  it("gives both streams and feeds standard input", async () => {
    expect(await runCommand({ ...sh("cat; echo trouble >&2"), input: "größe\n" })).toEqual({
      exitCode: 0,
      stdout: "größe\n",
      stderr: "trouble\n",
    });
  });

  it("says the command as one would type it, its status and the end of what it complained about", async () => {
    await expect(runCommand(sh("echo one >&2; echo 'two three' >&2; exit 7"))).rejects.toMatchObject({
      code: "command-failed",
      message: "sh -c 'echo one >&2; echo '\\''two three'\\'' >&2; exit 7' exited with 7:\none\ntwo three",
    });
  });

  it("tells a program that is not installed from one that fails", async () => {
    await expect(runCommand({ program: "no-such-program", args: [] })).rejects.toMatchObject({
      code: "program-missing",
      message: "no-such-program is not installed",
    });
  });

  it("kills what takes too long, with its children", async () => {
    const error: unknown = await runCommand({
      ...sh("sleep 300 & echo $! >&2; wait"),
      deadlineMs: 300,
    }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "deadline-exceeded" });
    const pid = Number(/killed:\n(\d+)/.exec((error as Error).message)?.[1]);
    expect(pid).toBeGreaterThan(1);
    expect(isGone(pid)).toBe(true);
  });

  it("ends with the signal's own reason when it is aborted", async () => {
    const controller = new AbortController();
    const running = runCommand(sh("sleep 300"), controller.signal);
    controller.abort(new Error("operator pressed Ctrl-C"));
    await expect(running).rejects.toThrow("operator pressed Ctrl-C");
  });

  it("does not collect output without end", async () => {
    await expect(runCommand({ ...sh("yes"), outputLimitBytes: 100_000 })).rejects.toMatchObject({
      code: "command-failed",
      message: "sh -c yes wrote more than 100000 bytes",
    });
  });

  it("names the signal that ended a command", async () => {
    await expect(runCommandUnchecked(sh("kill -TERM $$"))).rejects.toMatchObject({
      code: "command-failed",
      message: "sh -c 'kill -TERM $$' was killed by SIGTERM",
    });
  });

  it("shows lines of standard error while the command runs, whole, whatever ends them", async () => {
    const lines: string[] = [];
    await runCommand({ ...sh("printf 'a\\rb\\nc\\r\\nd' >&2"), onErrorLine: (line) => lines.push(line) });
    expect(lines).toEqual(["a", "b", "c", "d"]);
  });
});

describe("startDaemon", () => {
  it("gives the pid, each line, and how it ended", async () => {
    const lines: string[] = [];
    const daemon = await startDaemon({
      ...sh("echo out; echo err >&2; exec sleep 300"),
      onLine: (line, stream) => {
        lines.push(`${stream} ${line}`);
        if (lines.length === 2) daemon.kill("SIGTERM");
      },
    });
    expect(await daemon.exited).toEqual({ code: null, signal: "SIGTERM" });
    expect(lines.sort()).toEqual(["stderr err", "stdout out"]);
    expect(isGone(daemon.pid)).toBe(true);
  });

  it("fails at once when the program cannot be started", async () => {
    await expect(
      startDaemon({ program: "no-such-program", args: [], onLine: () => undefined }),
    ).rejects.toMatchObject({ code: "program-missing" });
  });
});

describe("streamCommand", () => {
  async function linesOf(script: string): Promise<readonly string[]> {
    const lines: string[] = [];
    await streamCommand({ ...sh(script), onLine: (line, stream) => void lines.push(`${stream} ${line}`) });
    return lines;
  }

  it("hands on each line as it comes, and gives the exit status whatever it is", async () => {
    const lines: string[] = [];
    const onLine = (line: string, stream: string): void => void lines.push(`${stream} ${line}`);
    expect(await streamCommand({ ...sh("echo out; echo err >&2; printf end; exit 7"), onLine })).toBe(7);
    expect(lines.toSorted()).toEqual(["stderr err", "stdout end", "stdout out"]);
  });

  it("keeps characters whole that arrive in two parts", async () => {
    expect(await linesOf("printf 'gr\\303'; sleep 0.1; printf '\\266\\303\\237e\\r\\n'")).toEqual([
      "stdout größe",
    ]);
  });

  it("hands on in pieces what never ends its line", async () => {
    const lines = await linesOf("head -c 300000 /dev/zero | tr '\\0' x");
    expect(lines.map((line) => line.slice("stdout ".length)).join("")).toBe("x".repeat(300_000));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(200_000);
  });

  it("kills what takes too long, with its children", async () => {
    const pids: number[] = [];
    const onLine = (line: string): void => void pids.push(Number(line));
    await expect(
      streamCommand({ ...sh("sleep 300 & echo $!; wait"), deadlineMs: 300, onLine }),
    ).rejects.toMatchObject({ code: "deadline-exceeded" });
    expect(pids.map(isGone)).toEqual([true]);
  });

  it("ends with the signal's own reason when it is aborted", async () => {
    const stop = new AbortController();
    const why = new Error("enough");
    const onLine = (): void => {
      stop.abort(why);
    };
    await expect(streamCommand({ ...sh("echo begun; exec sleep 300"), onLine }, stop.signal)).rejects.toBe(
      why,
    );
  });

  it("tells a program that is not installed, and one that a signal ended", async () => {
    const onLine = (): void => undefined;
    await expect(streamCommand({ program: "no-such-program", args: [], onLine })).rejects.toMatchObject({
      code: "program-missing",
    });
    await expect(streamCommand({ ...sh("kill -TERM $$"), onLine })).rejects.toMatchObject({
      code: "command-failed",
      message: "sh -c 'kill -TERM $$' was killed by SIGTERM",
    });
  });
});

describe("runOnTerminal", () => {
  it("gives the exit status, and names the signal that ended it", async () => {
    expect(await runOnTerminal(sh("exit 5"))).toBe(5);
    await expect(runOnTerminal(sh("kill -TERM $$"))).rejects.toMatchObject({
      code: "command-failed",
      message: "sh was killed by SIGTERM",
    });
  });
});
