import { expect, test } from "vitest";

import { planSlurmGres } from "./plan-slurm-gres.ts";
import { inPeoplesOrder } from "./read-sysfs.ts";
import { renderCpuList } from "./render-cpu-list.ts";
import { renderDeviceList } from "./render-device-list.ts";

test.each([
  [[], ""],
  [["/dev/nvidia0"], "/dev/nvidia0"],
  [["/dev/nvidia3", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2"], "/dev/nvidia[0-3]"],
  [["/dev/nvidia0", "/dev/nvidia2", "/dev/nvidia10"], "/dev/nvidia[0,2,10]"],
  [["/dev/dri/renderD128", "/dev/dri/renderD129"], "/dev/dri/renderD[128-129]"],
  [["/dev/nvidia0", "/dev/gpu", "/dev/x01"], "/dev/nvidia0,/dev/gpu,/dev/x01"],
])("device files %j are written %j", (files, list) => {
  expect(renderDeviceList(files)).toBe(list);
});

test("CPUs are written as the kernel writes them", () => {
  expect([renderCpuList([]), renderCpuList([5]), renderCpuList([0, 1, 2, 4, 6, 7])]).toEqual([
    "",
    "5",
    "0-2,4,6-7",
  ]);
});

test("GPUs without a model have no type, and those without a device file no file", () => {
  expect(planSlurmGres([{ model: "Tesla T4" }, {}, { model: "tesla t4", file: "/dev/nvidia1" }])).toEqual([
    { name: "gpu", type: "tesla_t4", count: 2, files: "/dev/nvidia1" },
    { name: "gpu", count: 1, files: "" },
  ]);
  expect(planSlurmGres([])).toEqual([]);
});

test("names are put in the order people count in, the same on every machine", () => {
  expect(["nvme10n1", "sda", "nvme2n1", "nvme2n1"].sort(inPeoplesOrder)).toEqual([
    "nvme2n1",
    "nvme2n1",
    "nvme10n1",
    "sda",
  ]);
});
