import { describe, expect, it } from "vitest";

import { renderSlurmd, type SlurmdOutput } from "./render-slurmd.ts";
import { SLURM_VERSIONS } from "./slurm-version.ts";

const copy: SlurmdOutput = {
  name: "c017.cluster.example",
  hardware: {
    cpus: 128,
    boards: 2,
    socketsPerBoard: 1,
    coresPerSocket: 32,
    threadsPerCore: 2,
    realMemoryMib: 515_000,
    gres: [],
  },
  gpus: [],
  version: "25.11",
};
const output: SlurmdOutput = { ...copy, uptimeSeconds: 3314 };
const COUNTS = "CPUs=128 Boards=2 SocketsPerBoard=1 CoresPerSocket=32 ThreadsPerCore=2";

const withGpus: SlurmdOutput = {
  ...output,
  gpus: [
    {
      autodetect: "nvml",
      gres: [
        { name: "gpu", type: "nvidia_a100-sxm4-40gb", count: 2, files: "/dev/nvidia[0-1]" },
        { name: "gpu", type: "tesla_v100-pcie-16gb", count: 1, files: "/dev/nvidia2" },
      ],
    },
    { autodetect: "rsmi", gres: [{ name: "gpu", count: 1, files: "/dev/dri/renderD128" }] },
  ],
};
const GRES = "gpu:nvidia_a100-sxm4-40gb:2,gpu:tesla_v100-pcie-16gb:1";

describe("the text of slurmd -C", () => {
  it.each(SLURM_VERSIONS)("is the same in %s for a machine without GPUs", (version) => {
    expect(renderSlurmd({ ...output, version })).toBe(
      `NodeName=c017 ${COUNTS} RealMemory=515000\nUpTime=0-00:55:14\n`,
    );
  });

  it("names GPUs from 24.11 on, and how they were found", () => {
    expect(renderSlurmd({ ...withGpus, version: "24.11" })).toBe(
      `NodeName=c017 ${COUNTS} RealMemory=515000 Gres=${GRES}\n` +
        `Found ${GRES} with Autodetect=nvml (Substring of gpu name may be used instead)\n` +
        "Found gpu:1 with Autodetect=rsmi (Substring of gpu name may be used instead)\n" +
        "UpTime=0-00:55:14\n",
    );
  });

  it("names no GPUs before", () => {
    expect(renderSlurmd({ ...withGpus, version: "23.02" })).not.toContain("gpu");
  });

  it("repeats the parameters between memory and GPUs", () => {
    const [line] = renderSlurmd({ ...withGpus, parameters: "l3cache_as_socket" }).split("\n");
    expect(line).toBe(`NodeName=c017 ${COUNTS} RealMemory=515000 Parameters=l3cache_as_socket Gres=${GRES}`);
  });

  it("leaves out the time a copy of a machine's files does not tell", () => {
    expect(renderSlurmd(copy)).toBe(`NodeName=c017 ${COUNTS} RealMemory=515000\n`);
  });

  it.each([
    [0, "0-00:00:00"],
    [59, "0-00:00:59"],
    [86_399, "0-23:59:59"],
    [90_061, "1-01:01:01"],
    [40_000_000, "462-23:06:40"],
  ])("of %d seconds up says %s", (uptimeSeconds, text) => {
    expect(renderSlurmd({ ...output, uptimeSeconds }).split("\n")[1]).toBe(`UpTime=${text}`);
  });

  it.each([
    ["C017.Example", "C017"],
    ["10.0.0.1", "10"],
    ["plain", "plain"],
  ])("cuts the name %s at its first dot", (name, short) => {
    expect(renderSlurmd({ ...output, name })).toMatch(new RegExp(`^NodeName=${short} `));
  });
});
