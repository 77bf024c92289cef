import { connect } from "node:net";

import {
  type AbuseTask,
  exchange,
  inTurn,
  makeRandom,
  noise,
  pick,
  PORTS,
  type Random,
  type Tally,
} from "./abuse-tools.ts";

const AT_ONCE = 32;

const CLIMBS = [
  ..."../|..%2f|%2e%2e/|%2e%2e%2f|..%252f|..\\|..%5c|....//|..;/|%c0%ae%c0%ae/|..%00/|./../|%2e./|.%2e/|//../".split(
    "|",
  ),
];
const ROOTS = [
  "/boot/",
  "/boot/base/",
  "/boot/ipxe-bin/",
  `/boot/blob/${"a".repeat(64)}/`,
  "/boot/blob/",
  "/",
];
const RANGES = [
  ..."bytes=0-0|bytes=-1|bytes=5-1|bytes=0-99999999999999999999|bytes=-0|bytes=1-2,3-4|bytes=a-b|lines=0-1|bytes=".split(
    "|",
  ),
  `bytes=${"0-1,".repeat(400)}0-1`,
  "bytes=99999999999-",
  "bytes=--5",
  "bytes= 0 - 10",
];

/** A path that wants to leave its root, a page with odd parameters, a real file with an odd range, or noise. */
function hostileHttp(random: Random, task: AbuseTask): Buffer {
  const method = pick(random, [
    "GET",
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "get",
    "PRI",
    "X".repeat(40),
  ]);
  const headers: string[] = ["Host: x", "Connection: close"];
  const kind = random(100);
  let target: string;
  if (kind < 50) {
    const climb = pick(random, CLIMBS).repeat(1 + random(12));
    const file = pick(random, task.hiddenFiles);
    target = pick(random, [
      `${pick(random, ROOTS)}${climb}${file.slice(1)}`,
      `${pick(random, ROOTS)}${climb}${file
        .split("/")
        .slice(-1 - random(3))
        .join("/")}`,
      `${pick(random, ROOTS)}${encodeURIComponent(file)}`,
      `/${file}`,
      `http://x${pick(random, ROOTS)}${climb}${file.slice(1)}`,
      `${pick(random, ROOTS)}base-zstd.cpio/${climb}${file.slice(1)}`,
      `${pick(random, ROOTS)}${file.slice(1)}%00.cpio`,
    ]);
  } else if (kind < 65) {
    const value = pick(random, [
      task.nodeMac,
      "52:54:00:99:99:99",
      "%",
      "%00",
      "a".repeat(random(2000)),
      encodeURIComponent(noise(random, 40).toString("latin1")),
      "${net0/mac}",
      "52:54:00:99:99:99&mac=1&mac[]=2",
      "..%2f..%2f",
    ]);
    const name = pick(random, ["mac", "uuid", "serial", "platform", "buildarch", "__proto__", "mac[]"]);
    target = `/boot/${pick(random, ["ipxe", "start.ipxe", "ipxe/"])}?mac=52:54:00:99:99:${random(90) + 10}&${name}=${value}`;
  } else if (kind < 75) {
    target = pick(random, ["/boot/base/base-zstd.cpio", "/boot/ipxe-bin/snponly.efi", "/boot/start.ipxe"]);
    headers.push(
      `Range: ${pick(random, RANGES)}`,
      `If-Range: "${random(9)}"`,
      `If-None-Match: ${pick(random, ["*", '"x"', "x,,"])}`,
    );
  } else if (kind < 90) {
    target = `/${noise(random, 200)
      .toString("latin1")
      .replaceAll(/[\r\n ]/g, "_")}`;
  } else {
    target = `/boot/${"%2f".repeat(random(300))}${"a/".repeat(random(200))}`;
  }
  const body = random(10) === 0 ? noise(random, 3000) : Buffer.alloc(0);
  if (random(20) === 0)
    headers.push(`Content-Length: ${pick(random, ["-1", "5", "99999999999", "1, 2", "abc"])}`);
  if (random(30) === 0) headers.push("Transfer-Encoding: chunked", "Content-Length: 3");
  if (random(40) === 0) headers.push(`X: ${"y".repeat(random(20_000))}`);
  if (random(50) === 0) headers.push(`${noise(random, 30).toString("latin1")}: z`);
  const end = random(200) === 0 ? "" : "\r\n\r\n";
  const version = random(50) === 0 ? pick(random, ["HTTP/0.9", "HTTP/9.9", "", "HTTP/2.0"]) : "HTTP/1.1";
  return Buffer.concat([
    Buffer.from(`${method} ${target} ${version}\r\n${headers.join("\r\n")}${end}`, "latin1"),
    body,
  ]);
}

/** Requests for boot artifacts, a connection each. */
export async function abuseHttp(task: AbuseTask, tally: Tally): Promise<void> {
  const random = makeRandom(task.seed);
  const requests = Array.from({ length: task.httpRequests }, () => hostileHttp(random, task));
  await inTurn(requests, AT_ONCE, async (request) => {
    tally.http(request, await exchange(connect(PORTS.http, task.address), request));
  });
}

/** Random calls of every operation the API describes, with parameters and bodies that fit badly or not at all. */
export async function abuseRest(task: AbuseTask, tally: Tally): Promise<void> {
  const random = makeRandom(task.seed + 1);
  const described = await exchange(
    connect(task.socketPath),
    Buffer.from("GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
  );
  const text = described.toString("utf8");
  const paths = [
    ...new Set([...text.matchAll(/"(\/(?:api|openapi)[^"]*)":\{/g)].map(([, path]) => path ?? "")),
  ];
  if (paths.length < 5) throw new Error(`the API describes only ${paths.join(" ")}`);
  const values: readonly (() => unknown)[] = [
    () => noise(random, 30).toString("latin1"),
    () => random(2 ** 31) - 2 ** 30,
    () => null,
    () => [],
    () => ({ __proto__: null, constructor: { prototype: 1 } }),
    () => "c[001-999999999]",
    () => "x".repeat(random(5000)),
    () => [{ name: "c001", devices: [{ name: "../x", mac: "zz", mtu: -1 }] }],
    () => ({ name: "'; drop table nodes; --" }),
    () => true,
  ];
  const names = [
    "nodes",
    "updates",
    "names",
    "name",
    "image",
    "fields",
    "limit",
    "node",
    "revision",
    "version",
    "blobs",
    "__proto__",
  ];
  const requests = Array.from({ length: task.restRequests }, () => {
    // Asking the doctor takes seconds by design.
    const path = pick(
      random,
      paths.filter((one) => !one.includes("doctor")),
    ).replaceAll(/\{[^}]*\}/g, () =>
      pick(random, [
        "c001",
        "..%2f..%2fetc",
        "%00",
        "%",
        "a".repeat(300),
        `sha256:${"a".repeat(64)}`,
        "-1",
        "ABCD-EFGH",
      ]),
    );
    const query =
      random(3) === 0
        ? `?${pick(random, names)}=${pick(random, ["-1", "1e99", "%ff", "c[1-", "c[1-99999999]", "'"])}`
        : "";
    const body =
      random(4) === 0
        ? noise(random, 400)
        : Buffer.from(
            JSON.stringify(
              Object.fromEntries(
                Array.from({ length: random(5) }, () => [pick(random, names), pick(random, values)()]),
              ),
            ),
          );
    const type = pick(random, [
      "application/json",
      "application/json",
      "application/octet-stream",
      "text/plain",
      "multipart/form-data",
      "x",
    ]);
    const head = `${pick(random, ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"])} ${path}${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head, "latin1"), body]);
  });
  await inTurn(requests, 16, async (request) => {
    tally.http(request, await exchange(connect(task.socketPath), request));
  });
}
