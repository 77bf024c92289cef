import process from "node:process";

import type { ListrDefaultRendererLogLevels } from "listr2";

import type { ImportProgress } from "../../images/import-image.ts";
import type { CliContext } from "../cli-context.ts";
import { renderSize } from "../output/render-text.ts";

/** Follows an import on standard error. */
export interface ImportDisplay {
  show(progress: ImportProgress): void;
  /** Ends the display: done, or failed with this. */
  end(failure?: unknown): Promise<void>;
}

const MIN_COLUMNS = 40;

const STEPS = [
  { step: "kernel", title: "find the kernel" },
  { step: "pack", title: "pack the tree" },
  { step: "modules", title: "pack the kernel's modules" },
  { step: "upload", title: "upload" },
  { step: "register", title: "register the version" },
] as const satisfies readonly { step: ImportProgress["step"]; title: string }[];

/** A live list of steps on a terminal, a line per step elsewhere. */
export async function showImportProgress(context: CliContext): Promise<ImportDisplay> {
  // serial consoles often say they have no columns at all; the list would be one letter wide
  const isWide = process.stderr.columns >= MIN_COLUMNS;
  return context.process.errIsTerminal && isWide ? showList() : showLines(context);
}

function showLines(context: CliContext): ImportDisplay {
  let said = "";
  return {
    show: (progress) => {
      const title = STEPS.find(({ step }) => step === progress.step)?.title ?? progress.step;
      // a percentage is for eyes; logs get the step
      const line = progress.step === "pack" ? title : [title, detailOf(progress)].filter(Boolean).join(": ");
      if (line !== said) context.note(line);
      said = line;
    },
    end: async () => undefined,
  };
}

/**
 * The list wants a promise per step; the import only says when the next one begins. So a step is over when a
 * later one begins, and the last when the import is.
 */
async function showList(): Promise<ImportDisplay> {
  const { Listr, ListrLogger, ProcessOutput } = await import("listr2");
  const steps = STEPS.map(({ step, title }) => ({
    step,
    title,
    detail: { value: "", tell: noScreenYet },
    over: Promise.withResolvers<undefined>(),
  }));
  const list = new Listr(
    steps.map(({ title, detail, over }) => ({
      title,
      task: async (_context, task) => {
        detail.tell = (text) => {
          task.title = text === "" ? title : `${title}: ${text}`;
        };
        detail.tell(detail.value);
        await over.promise;
      },
    })),
    {
      exitOnError: true,
      registerSignalListeners: false,
      rendererOptions: {
        // data goes to standard output, and this is none
        logger: new ListrLogger<ListrDefaultRendererLogLevels>({
          processOutput: new ProcessOutput(process.stderr, process.stderr),
        }),
      },
    },
  );
  // the failure is reported by the command itself
  const shown = list.run().catch(() => undefined);
  let current = 0;
  return {
    show: (progress) => {
      const index = steps.findIndex(({ step }) => step === progress.step);
      for (const step of steps.slice(0, index)) step.over.resolve(undefined);
      current = index;
      const detail = steps[index]?.detail;
      if (detail === undefined) return;
      detail.value = detailOf(progress);
      detail.tell(detail.value);
    },
    end: async (failure) => {
      if (failure !== undefined) steps[current]?.over.reject(new Error("failed"));
      for (const step of steps) step.over.resolve(undefined);
      await shown;
    },
  };
}

/** Told before the list shows the step: the list asks for the detail when it does. */
const noScreenYet: (detail: string) => void = () => undefined;

function detailOf(progress: ImportProgress): string {
  switch (progress.step) {
    case "kernel":
      return progress.release;
    case "pack":
      return `${progress.percent} %`;
    case "upload":
      return `${progress.what}, ${renderSize(progress.sizeBytes)}`;
    case "modules":
    case "register":
      return "";
  }
}
