import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";

import { CommanderError } from "commander";

import { errorMeaning, errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import packageJson from "../../package.json" with { type: "json" };
import {
  CONTROL_SOCKET_NAME,
  DEFAULT_CONFIG_PATH,
  DEFAULT_RUNTIME_DIRECTORY,
} from "../config/default-config.ts";
import { type ApiAddress, openApiClient } from "./api-client.ts";
import { buildProgram, type GlobalOptions } from "./build-program.ts";
import type { CliContext, CliProcess } from "./cli-context.ts";
import { separateRemoteCommand } from "./ssh/plan-ssh.ts";

/** Exit status of a command line that cannot be understood, as of invalid input everywhere. */
const EXIT_USAGE = 2;
/** What shells report of a program that SIGINT (2) ended. */
const EXIT_INTERRUPTED = 130;

/** Runs one command line. Returns its exit status: 0, or that of the error's code in ERROR_MEANINGS. */
export async function runCli(process: CliProcess): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(
    (options) => makeContext(process, options),
    (code) => {
      exitCode = code;
    },
  );
  const settle = (command: typeof program): void => {
    command.exitOverride().configureOutput({
      writeOut: (text) => {
        process.out(text);
      },
      writeErr: (text) => {
        process.err(text.replace(/^error: /, "muster: "));
      },
    });
    for (const child of command.commands) settle(child);
  };
  settle(program);
  try {
    await program.parseAsync([...separateRemoteCommand(process.args)], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (process.signal.aborted) {
      process.err("muster: interrupted\n");
      return EXIT_INTERRUPTED;
    }
    process.err(renderError(error));
    return errorMeaning(error).exit;
  }
}

/** "muster: what: cause", and on the next line what to do. */
function renderError(error: unknown): string {
  const fix =
    error instanceof MusterError
      ? error.fix
      : "this is a bug in muster; please report it with the command line";
  return `muster: ${errorSentence(error)}\n${fix === undefined ? "" : `  fix: ${fix}\n`}`;
}

function makeContext(process: CliProcess, options: GlobalOptions): CliContext {
  return {
    process,
    output: options.output,
    ...(options.listFormat === undefined ? {} : { listFormat: options.listFormat }),
    version: packageJson.version,
    isLocal: remoteOf(process, options) === undefined,
    api: openApiClient(() => findController(process, options)),
    print: async (data, renderTable) => {
      if (options.output === "table") process.out(renderTable());
      else if (options.output === "json") process.out(`${JSON.stringify(data, null, 2)}\n`);
      else process.out((await import("./output/render-yaml.ts")).renderYaml(data));
    },
    note: (line) => {
      process.err(`${line}\n`);
    },
  };
}

async function findController({ env }: CliProcess, options: GlobalOptions): Promise<ApiAddress> {
  const controller = remoteOf({ env }, options);
  if (controller !== undefined) {
    const caFingerprint = readFingerprint(options.caFingerprint ?? env["MUSTER_CA"]);
    return {
      by: "https",
      url: readUrl(controller),
      token: readToken(options.token ?? env["MUSTER_TOKEN"]),
      ...(caFingerprint === undefined ? {} : { caFingerprint }),
    };
  }
  const path = options.socket ?? env["MUSTER_SOCKET"] ?? (await findSocket());
  return { by: "socket", path, user: env["SUDO_USER"] ?? userName() };
}

/** The controller elsewhere; undefined for this host's. What the command line says wins, whichever way it points. */
function remoteOf({ env }: Pick<CliProcess, "env">, options: GlobalOptions): string | undefined {
  const controller =
    options.socket === undefined ? (options.controller ?? env["MUSTER_CONTROLLER"]) : undefined;
  return controller === "" ? undefined : controller;
}

/** The socket musterd opens on this host: below `paths.runtime` of its configuration, if that says one. */
async function findSocket(): Promise<string> {
  const text = await readFile(DEFAULT_CONFIG_PATH, "utf8").catch(() => "");
  const [, runtime] = /^ +runtime: *["']?(\/[^\s"'#]*)/m.exec(text) ?? [];
  return `${runtime ?? DEFAULT_RUNTIME_DIRECTORY}/${CONTROL_SOCKET_NAME}`;
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:") return url;
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text)} is not the URL of a controller`,
    fix: "write https://HOST:9884",
  });
}

function readToken(token: string | undefined): string {
  if (token !== undefined && token !== "") return token.trim();
  throw new MusterError({
    code: "api-token-refused",
    what: "a controller elsewhere wants a token",
    fix: "set MUSTER_TOKEN to one that `muster token create NAME` on the controller gave",
  });
}

function readFingerprint(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  const hex = text.toLowerCase().replaceAll(":", "");
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text)} is not a SHA-256 fingerprint`,
    fix: "write 64 hex digits, as `muster status` on the controller prints them",
  });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "unknown"; // a numeric user without an entry in passwd
  }
}
