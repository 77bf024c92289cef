import { connect } from "node:net";

import { credentials } from "@grpc/grpc-js";

import { type EnrolAccepted, EnrollmentClient, type EnrolResponse } from "#proto/gen/muster/v1/enrollment.ts";

import { makeCertificateRequest } from "../../fixtures/make-certificate-request.ts";
import { abuseFrames, abuseGrpc } from "./abuse-grpc.ts";
import { abuseHttp, abuseRest } from "./abuse-http.ts";
import { type AbuseReport, type AbuseTask, exchange, PORTS, Tally } from "./abuse-tools.ts";
import { call, frame, type Identity, openSession } from "./grpc-calls.ts";
import { enrolRequest, METHODS } from "./grpc-methods.ts";

/** Enrols with a token; the certificate, or the code of the refusal. */
async function enrol(
  task: AbuseTask,
  options: { readonly token: string; readonly mac: string },
): Promise<{ readonly accepted: EnrolAccepted; readonly keyPem: string } | string> {
  const { csrDer, keyPem } = await makeCertificateRequest();
  const client = new EnrollmentClient(
    `${task.address}:${PORTS.enrolment}`,
    credentials.createSsl(Buffer.from(task.authorityPem)),
    {
      "grpc.use_local_subchannel_pool": 1,
    },
  );
  const stream = client.enrol(enrolRequest(options.token, options.mac, csrDer));
  try {
    for await (const { event } of stream as AsyncIterable<EnrolResponse>) {
      if (event?.$case === "accepted") return { accepted: event.value, keyPem };
      if (event?.$case === "pending") return "pending";
    }
    return "ended";
  } catch (error) {
    return error instanceof Error ? error.message : "failed";
  } finally {
    stream.cancel();
    client.close();
  }
}

/** The token of the node's boot script, as its machine would get it. */
async function fetchToken(task: AbuseTask, from: string): Promise<string> {
  const answer = await exchange(
    connect({ port: PORTS.http, host: task.address, localAddress: from }),
    Buffer.from(`GET /boot/ipxe?mac=${task.nodeMac} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
  );
  const token = /muster\.token=(\S+)/.exec(answer.toString("latin1"))?.[1];
  if (token === undefined) throw new Error(`no token in ${answer.toString("latin1")}`);
  return token;
}

function pemOf(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
}

/** Each port of nodes with each certificate that must not do, and with the one that does. */
async function tryCertificates(task: AbuseTask, good: Identity): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const certificates: Readonly<Record<string, Identity>> = { none: {}, ...task.badCertificates, good };
  for (const [port, path, message] of METHODS) {
    if (port === PORTS.enrolment || !/GetBootPlan|FetchBlob/.test(path)) continue;
    for (const [name, identity] of Object.entries(certificates)) {
      const session = await openSession(port, task, task.sources[0] ?? "", identity);
      const answer = await call(session, { ":path": path }, frame(message));
      found[`${port} ${name}`] = answer.startsWith("grpc") ? answer : "refused";
      session.destroy();
    }
  }
  return found;
}

async function abuse(task: AbuseTask): Promise<AbuseReport> {
  const leaks: string[] = [];
  const tally = {
    http: new Tally(task, leaks),
    rest: new Tally(task, leaks),
    grpc: new Tally(task, leaks),
    frames: new Tally(task, leaks),
  };
  const seconds: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    seconds[name] = Math.round((performance.now() - started) / 100) / 10;
    return result;
  };
  // Calls leave by the address of the route, which is the controller's own: tokens are asked for from there too.
  const tokens: Record<string, string> = {};
  const token = await fetchToken(task, task.address);
  const say = (answer: Awaited<ReturnType<typeof enrol>>): string =>
    typeof answer === "string" ? answer : "accepted";
  tokens["another MAC"] = say(await enrol(task, { token, mac: "52:54:00:99:00:01" }));
  tokens["another address"] = say(
    await enrol(task, { token: await fetchToken(task, task.sources[1] ?? ""), mac: task.nodeMac }),
  );
  const first = await enrol(task, { token, mac: task.nodeMac });
  if (typeof first === "string") throw new Error(`the node was not enrolled: ${first}`);
  tokens["the node"] = "accepted";
  tokens["another key"] = say(await enrol(task, { token, mac: task.nodeMac }));
  tokens["a guess"] = say(await enrol(task, { token: "A".repeat(43), mac: task.nodeMac }));
  const good = { cert: pemOf(first.accepted.certificate), key: first.keyPem };

  const tls = await timed("tls", () => tryCertificates(task, good));
  await timed("grpc", () => abuseGrpc(task, tally.grpc, good));
  await timed("frames", () => abuseFrames(task, tally.frames, good));
  await timed("http", () => abuseHttp(task, tally.http));
  await timed("rest", () => abuseRest(task, tally.rest));
  return {
    answers: {
      http: tally.http.answers,
      rest: tally.rest.answers,
      grpc: tally.grpc.answers,
      frames: tally.frames.answers,
    },
    ...{ leaks, tls, tokens, seconds },
  };
}

process.stdout.write(JSON.stringify(await abuse(JSON.parse(process.argv[2] ?? "{}") as AbuseTask)));
process.exit(0);
