import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import { EnrolRequest } from "#proto/gen/muster/v1/enrollment.ts";
import {
  FetchBlobRequest,
  GetBootPlanRequest,
  ReportBootRequest,
  ReportFailureRequest,
} from "#proto/gen/muster/v1/provisioning.ts";
import { ConnectRequest } from "#proto/gen/muster/v1/session.ts";

import { makeCertificateRequest } from "../../fixtures/make-certificate-request.ts";
import { PORTS } from "./abuse-tools.ts";

const BOOT_ID = "00000000-0000-4000-8000-000000000001";
const MACHINE_MAC = "52:54:00:99:00:77";
const STAGES = [{ stage: "network", startedMs: 1, endedMs: 2, detail: "eth0" }];

/** Each method with a message that is as it should be: what hostile ones are made from. */
export const METHODS: readonly (readonly [port: number, path: string, message: Buffer])[] = [
  [
    PORTS.enrolment,
    "/muster.v1.Enrollment/Enrol",
    encoded(
      EnrolRequest.encode(enrolRequest("", MACHINE_MAC, (await makeCertificateRequest()).csrDer)).finish(),
    ),
  ],
  [
    PORTS.agents,
    "/muster.v1.Provisioning/GetBootPlan",
    encoded(
      GetBootPlanRequest.encode({
        protocolVersion: PROTOCOL_VERSION,
        bootId: BOOT_ID,
        kernelDigest: "",
      }).finish(),
    ),
  ],
  [
    PORTS.agents,
    "/muster.v1.Provisioning/ReportBoot",
    encoded(ReportBootRequest.encode({ bootId: BOOT_ID, stages: STAGES, uptimeMs: 1 }).finish()),
  ],
  [
    PORTS.agents,
    "/muster.v1.Provisioning/ReportFailure",
    encoded(
      ReportFailureRequest.encode({
        ...{
          bootId: BOOT_ID,
          stages: STAGES,
          stage: "fetch",
          code: "blob-corrupt",
          what: "it is",
          fix: "do",
        },
        ...{ kernelLogTail: "log", blobDigest: `sha256:${"a".repeat(64)}`, retryInSeconds: 1, uptimeMs: 1 },
      }).finish(),
    ),
  ],
  [
    PORTS.agents,
    "/muster.v1.Session/Connect",
    encoded(
      ConnectRequest.encode({
        message: {
          $case: "hello",
          value: {
            ...{ protocolVersion: PROTOCOL_VERSION, agentVersion: "1", agentDigest: "", bootId: BOOT_ID },
            ...{ imageName: "x", imageVersion: 1, machine: undefined },
          },
        },
      }).finish(),
    ),
  ],
  [
    PORTS.blobs,
    "/muster.v1.Blobs/FetchBlob",
    encoded(
      FetchBlobRequest.encode({
        digest: `sha256:${"a".repeat(64)}`,
        offset: 1,
        ticket: Buffer.alloc(32),
      }).finish(),
    ),
  ],
];

function encoded(message: Uint8Array): Buffer {
  return Buffer.from(message);
}

/** What a machine with this MAC sends first. */
export function enrolRequest(token: string, mac: string, certificateRequest: Buffer): EnrolRequest {
  return {
    ...{ protocolVersion: PROTOCOL_VERSION, bootId: BOOT_ID, token, certificateRequest },
    ...{ uptimeMs: 1000, nodeName: "" },
    machine: {
      ...{ smbiosUuid: "", serial: "", vendor: "lab", product: "abuse", macs: [mac], bootMac: mac },
      ...{ architecture: "x86_64", firmware: "bios", cpus: 1, sockets: 1, memoryBytes: 1, cpuModel: "" },
    },
  };
}
