import { Code, ConnectError } from "@connectrpc/connect";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { transportError } from "./transport-errors.js";

/** The resource that an error is about. */
export interface Resource {
  /** The kind of resource, such as "task". */
  readonly type: string;
  /** The name of the resource. */
  readonly name: string;
}

/** What a {@link LedgerError} is made of. */
export interface ErrorDetails {
  /** The status code. */
  readonly code: Code;
  /** The message of the server or of the transport, for people. */
  readonly message: string;
  /** The stable reason, for programs. */
  readonly reason?: string;
  /** The values that belong to the reason. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Descriptions of what is wrong, by path in the request. */
  readonly violations?: Readonly<Record<string, string>>;
  /** The resource that the error is about. */
  readonly resource?: Resource | undefined;
  /** The milliseconds after which to try again. */
  readonly retryDelayMs?: number | undefined;
}

/**
 * An error of the ledger or of the transport. Every call of a {@link Client} throws it.
 *
 * The page "Errors" of the ledger's documentation lists the reasons.
 */
export class LedgerError extends Error {
  /** Always "LedgerError". */
  override readonly name: string = "LedgerError";
  /** The status code. */
  readonly code: Code;
  /** The message of the server or of the transport, without code and reason. */
  readonly rawMessage: string;
  /** The stable reason, such as "STALE_REVISION"; empty if the error came from the transport. */
  readonly reason: string;
  /** The values that belong to the reason, such as current_revision. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Descriptions of what is wrong, by path in the request. */
  readonly violations: Readonly<Record<string, string>>;
  /** The resource that the error is about, if the server named one. */
  readonly resource: Resource | undefined;
  /** The milliseconds after which to try again, if the server gave them. */
  readonly retryDelayMs: number | undefined;

  /** Create an error of its details. `cause` is the error of the transport. */
  constructor(details: ErrorDetails, cause?: unknown) {
    const reason = details.reason ? ` [${details.reason}]` : "";
    super(`${codeName(details.code)}${reason}: ${details.message}`, { cause });
    this.code = details.code;
    this.rawMessage = details.message;
    this.reason = details.reason ?? "";
    this.metadata = details.metadata ?? {};
    this.violations = details.violations ?? {};
    this.resource = details.resource;
    this.retryDelayMs = details.retryDelayMs;
  }
}

/** The reasons of a {@link LocalError}. */
export type LocalReason = "LEASE_LOST" | "INVALID" | "CLOSED";

/**
 * An error that the client throws by itself, before it sends anything.
 *
 * LEASE_LOST: the lease of the work is lost, so another agent may have the task. INVALID: a setting or an argument cannot
 * be right. CLOSED: the client is closed.
 */
export class LocalError extends Error {
  /** Always "LocalError". */
  override readonly name: string = "LocalError";

  /** Create an error with a reason and a message for people. */
  constructor(
    /** The stable reason, for programs. */
    readonly reason: LocalReason,
    message: string,
  ) {
    super(message);
  }
}

/** Return the name of a status code as gRPC writes it, such as "NOT_FOUND". */
export function codeName(code: Code): string {
  if (code === Code.Canceled) {
    return "CANCELLED";
  }
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

const CODES: ReadonlyMap<number, Code> = new Map(
  Object.values(Code).flatMap((code) => (typeof code === "number" ? [[code, code]] : [])),
);

/** Return the code of a number on the wire; UNKNOWN if no code has it. */
export function statusCode(number: number): Code {
  return CODES.get(number) ?? Code.Unknown;
}

/** Return what a call threw as an error of this package. */
export function ledgerError(thrown: unknown): LedgerError | LocalError {
  if (thrown instanceof LedgerError || thrown instanceof LocalError) {
    return thrown;
  }
  const error = transportError(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const invalid = error.findDetails(BadRequestSchema)[0];
  const about = error.findDetails(ResourceInfoSchema)[0];
  const retry = error.findDetails(RetryInfoSchema)[0];
  return new LedgerError(
    {
      code: error.code,
      message: error.rawMessage,
      reason: info?.reason ?? "",
      metadata: { ...info?.metadata },
      violations: Object.fromEntries(invalid?.fieldViolations.map((v) => [v.field, v.description]) ?? []),
      resource: about && { type: about.resourceType, name: about.resourceName },
      retryDelayMs: retry?.retryDelay && durationMs(retry.retryDelay),
    },
    error,
  );
}

/** Return the error of a call that its caller ended. */
export function cancelled(signal?: AbortSignal): LedgerError {
  const cause: unknown = signal?.reason;
  return new LedgerError({ code: Code.Canceled, message: "the caller ended the call" }, cause);
}

/** Return the error of a stream that ended although it should go on. */
export function streamEnded(): LedgerError {
  return new LedgerError({ code: Code.Unavailable, message: "the server ended the stream" });
}

/** Return true if an error is the caller's own cancellation, as AbortSignal and fetch throw it. */
export function isAbort(error: unknown): boolean {
  if (error instanceof LedgerError) {
    return error.code === Code.Canceled;
  }
  return (
    (error instanceof Error && error.name === "AbortError") ||
    (error instanceof ConnectError && error.code === Code.Canceled)
  );
}
