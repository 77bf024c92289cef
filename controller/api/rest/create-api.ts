import { createServer } from "node:https";

import swagger from "@fastify/swagger";
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyRequest,
  type FastifyServerOptions,
} from "fastify";

import { ERROR_MEANINGS, MusterError } from "#proto/contract/muster-error.ts";

import { hasControlCharacter } from "../../config/scalar-readers.ts";
import { ChangeRefused } from "../../inventory/change-refused.ts";
import type { Author } from "../../inventory/inventory.ts";
import type { ApiAccess, ApiDependencies } from "./api-dependencies.ts";
import { addBlobRoutes } from "./blob-routes.ts";
import { addChangeRoutes } from "./change-routes.ts";
import { addDirectiveRoutes } from "./directive-routes.ts";
import { addHardwareRoutes } from "./hardware-routes.ts";
import { hashToken } from "./hash-token.ts";
import { addHistoryRoutes } from "./history-routes.ts";
import { addHookRoutes } from "./hook-routes.ts";
import { addIdentityRoutes } from "./identity-routes.ts";
import { addImageRoutes } from "./image-routes.ts";
import { addInventoryRoutes } from "./inventory-routes.ts";
import { addLogRoutes } from "./log-routes.ts";
import { addMachineRoutes } from "./machine-routes.ts";
import { addNodeRoutes } from "./node-routes.ts";
import { addNodeSetRoutes } from "./node-set-routes.ts";
import { addOverlayRoutes } from "./overlay-routes.ts";
import { addPendingRoutes } from "./pending-routes.ts";
import { RequestError, type RequestErrorDetails, requestInvalid } from "./request-error.ts";
import type { ErrorBody } from "./schemas.ts";
import { addSiteRoutes } from "./site-routes.ts";
import { addSshRoutes } from "./ssh-routes.ts";
import { addTokenRoutes } from "./token-routes.ts";
import type { TypedApi } from "./typed-api.ts";

/** Requests other than uploads. */
const BODY_LIMIT_BYTES = 16 * 1024 * 1024;
/** A set of 10,000 nodes whose names do not fold stands in the query, and Node takes 16 KiB unless told otherwise. */
const MAX_HEADER_BYTES = 256 * 1024;
const MAX_REASON = 4096;
const USER_NAME = /^[a-z_][a-z0-9_.-]{0,31}$/i;

/**
 * Builds one server of the REST API: /api/v1/... and /openapi.json. Every request is refused unless it came
 * over the control socket or carries a token; errors are {error: {code, what, fix}} with the status of
 * ERROR_MEANINGS. How requests arrive is decided here, once, and never guessed from a request.
 */
export async function createApi(deps: ApiDependencies, access: ApiAccess): Promise<FastifyInstance> {
  const options: FastifyServerOptions = {
    ...(access.by === "token"
      ? {
          serverFactory: (handler) =>
            createServer(
              {
                cert: access.certificatePem,
                key: access.keyPem,
                minVersion: "TLSv1.2",
                maxHeaderSize: MAX_HEADER_BYTES,
              },
              handler,
            ),
        }
      : { http: { maxHeaderSize: MAX_HEADER_BYTES } }),
    bodyLimit: BODY_LIMIT_BYTES,
    // uploads of images take as long as they take
    requestTimeout: 0,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    return503OnClosing: true,
  };
  const api = fastify(options);
  api.setValidatorCompiler(TypeBoxValidatorCompiler);
  api.decorateRequest("author");
  api.addHook("onRequest", async (request) => {
    request.author = { ...(await authenticate(request, deps, access)), ...reasonOf(request) };
  });
  api.setNotFoundHandler(async (request) => {
    throw new MusterError({
      code: "not-found",
      what: `there is no ${request.method} ${request.url.split("?")[0] ?? ""}`,
      fix: "/openapi.json lists what there is",
    });
  });
  api.setErrorHandler(async (error: unknown, request, reply) => {
    const { status, body } = presentError(error);
    if (body.error.code === "internal") {
      deps.onBug(error, `${request.method} ${request.routeOptions.url ?? "?"}`);
    }
    if (status === 401) void reply.header("www-authenticate", "Bearer");
    return reply.code(status).serializer(JSON.stringify).type("application/json; charset=utf-8").send(body);
  });
  await api.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "muster", version: deps.version, description: "The controller of a muster cluster" },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      ...(access.by === "token" ? { security: [{ token: [] }] } : {}),
    },
  });
  const routes: TypedApi = api.withTypeProvider<TypeBoxTypeProvider>();
  routes.get("/openapi.json", { schema: { hide: true } }, async () => api.swagger());
  addNodeRoutes(routes, deps);
  addInventoryRoutes(routes, deps);
  addChangeRoutes(routes, deps);
  addNodeSetRoutes(routes, deps);
  addPendingRoutes(routes, deps);
  addIdentityRoutes(routes, deps);
  addHookRoutes(routes, deps);
  addMachineRoutes(routes, deps);
  addImageRoutes(routes, deps);
  addBlobRoutes(routes, deps);
  addOverlayRoutes(routes, deps);
  addHistoryRoutes(routes, deps);
  addLogRoutes(routes, deps);
  addHardwareRoutes(routes, deps);
  addSiteRoutes(routes, deps);
  addSshRoutes(routes, deps);
  addTokenRoutes(routes, deps);
  addDirectiveRoutes(routes, deps);
  await api.ready();
  return api;
}

async function authenticate(
  request: FastifyRequest,
  deps: ApiDependencies,
  access: ApiAccess,
): Promise<Author> {
  if (access.by === "socket") {
    // the name is for the history only: whoever can open the socket could be root here
    const claimed = request.headers["muster-user"];
    return { user: typeof claimed === "string" && USER_NAME.test(claimed) ? claimed : "root" };
  }
  const [, token] = /^Bearer ([A-Za-z0-9._~+/=-]{1,256})$/i.exec(request.headers.authorization ?? "") ?? [];
  // the token is looked up by its hash: how long that takes says nothing about any token
  const known =
    token === undefined ? undefined : await deps.inventory.useApiToken(hashToken(token), deps.now());
  if (known !== undefined) return { user: `token:${known.name}`, address: request.ip };
  throw new MusterError({
    code: "api-token-refused",
    what: token === undefined ? "the request carries no token" : "the token is not one of this controller",
    fix: "make one with `muster token create NAME` on the controller and pass it with --token or MUSTER_TOKEN",
  });
}

/** Why something is done, for the history: of requests whose body has no place for it. Percent-encoded UTF-8. */
function reasonOf({ headers }: FastifyRequest): Pick<Author, "reason"> {
  const text = headers["x-muster-reason"];
  if (typeof text !== "string" || text === "") return {};
  try {
    const reason = decodeURIComponent(text).slice(0, MAX_REASON);
    return hasControlCharacter(reason) ? {} : { reason };
  } catch {
    return { reason: text.slice(0, MAX_REASON) };
  }
}

function presentError(error: unknown): { readonly status: number; readonly body: ErrorBody } {
  const known = asMusterError(error);
  if (known === undefined) {
    return {
      status: ERROR_MEANINGS.internal.http,
      body: { error: { code: "internal", what: "musterd failed at this request", fix: "its log says how" } },
    };
  }
  const { code, message, fix } = known;
  const details = detailsOf(known);
  return {
    status: ERROR_MEANINGS[code].http,
    body: {
      error: {
        code,
        what: message,
        ...(fix === undefined ? {} : { fix }),
        ...(details.findings === undefined ? {} : { findings: [...details.findings] }),
        ...(details.current === undefined ? {} : { current: details.current, yours: details.yours }),
      },
    },
  };
}

function detailsOf(error: MusterError): RequestErrorDetails {
  if (error instanceof RequestError) return error.details;
  if (error instanceof ChangeRefused) return { findings: error.findings, ...error.stale };
  return {};
}

/** Errors of muster, and those of fastify that tell the client what it did wrong; undefined for bugs. */
function asMusterError(error: unknown): MusterError | undefined {
  if (error instanceof MusterError) return error;
  if (!(error instanceof Error)) return undefined;
  const { validation, validationContext, statusCode } = error as Partial<FastifyError>;
  if (validation !== undefined) {
    // typebox reports an unknown key twice: at the object, and as a value for which no schema is
    const reasons = validation.filter(({ keyword }) => keyword !== "boolean");
    return requestInvalid(
      (reasons.length === 0 ? validation : reasons).map(
        ({ instancePath, message = "is not valid", params, keyword }) => ({
          at: pathOf(validationContext ?? "", instancePath),
          what: keyword === "additionalProperties" ? unknownKeys(params) : message,
        }),
      ),
    );
  }
  if (statusCode === undefined || statusCode >= 500 || statusCode < 400) return undefined;
  return new MusterError({ code: "request-invalid", what: error.message, cause: error });
}

/** "/nodes/0/fields/mtu" of a body becomes "nodes[0].fields.mtu". */
function pathOf(context: string, instancePath: string): string {
  const path = instancePath
    .split("/")
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join("")
    .replace(/^\./, "");
  return context === "body" ? path : [context, path].filter((part) => part !== "").join(" ");
}

function unknownKeys(params: Record<string, unknown>): string {
  const keys = params["additionalProperties"];
  return `has unknown keys: ${Array.isArray(keys) ? keys.map((key) => JSON.stringify(key)).join(", ") : "?"}`;
}
