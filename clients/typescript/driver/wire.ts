import {
  createRegistry,
  type DescMethodUnary,
  fromJson,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import { codeName, LedgerError, LocalError } from "@orchestration-ledger/client";
import * as v1 from "@orchestration-ledger/client/v1";

/** One command of the runner. */
export interface Command extends JsonObject {
  readonly id: number;
  readonly op: string;
}

const registry = createRegistry(
  v1.file_orchestration_v1_admin,
  v1.file_orchestration_v1_context,
  v1.file_orchestration_v1_coordination,
  v1.file_orchestration_v1_event,
  v1.file_orchestration_v1_report,
  v1.file_orchestration_v1_schedule,
  v1.file_orchestration_v1_session,
  v1.file_orchestration_v1_sprint,
  v1.file_orchestration_v1_task,
  v1.file_orchestration_v1_template,
);

/** Return the unary method of a name such as "TaskService/GetTask". */
export function methodOf(name: string): DescMethodUnary {
  const [service = "", rpc = ""] = name.split("/");
  const method = registry
    .getService(`orchestration.v1.${service}`)
    ?.methods.find((each) => each.name === rpc);
  if (method?.methodKind !== "unary") {
    throw new LocalError("INVALID", `"${name}" is no unary method`);
  }
  return method as DescMethodUnary;
}

/** Return the request of a method from its JSON. */
export function requestOf(method: DescMethodUnary, json: JsonValue | undefined) {
  return fromJson(method.input, json ?? {});
}

/** Return the text of a field; empty if it is absent. */
export function text(command: JsonObject, field: string): string {
  const value = command[field];
  return typeof value === "string" ? value : "";
}

/** Return the number of a field; undefined if it is absent. */
export function number(command: JsonObject, field: string): number | undefined {
  const value = command[field];
  return typeof value === "number" ? value : undefined;
}

/** Return the seconds of a field in milliseconds; undefined if it is absent. */
export function milliseconds(command: JsonObject, field: string): number | undefined {
  const seconds = number(command, field);
  return seconds === undefined ? undefined : Math.ceil(seconds * 1_000);
}

/** Return an error as the runner reads it. */
export function errorOf(error: unknown): JsonObject {
  if (error instanceof LocalError) {
    return { code: "LOCAL", reason: error.reason, message: error.message, metadata: {}, violations: {} };
  }
  if (!(error instanceof LedgerError)) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { code: "LOCAL", reason: "INVALID", message, metadata: {}, violations: {} };
  }
  return {
    code: codeName(error.code),
    reason: error.reason,
    message: error.rawMessage,
    metadata: { ...error.metadata },
    violations: { ...error.violations },
    ...(error.resource && { resource: { ...error.resource } }),
    ...(error.retryDelayMs !== undefined && { retryDelay: error.retryDelayMs / 1_000 }),
  };
}
