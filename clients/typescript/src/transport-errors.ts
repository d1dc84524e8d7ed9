import { Code, ConnectError } from "@connectrpc/connect";

// The connection was lost, or there was none. connect-node reports most of these as INTERNAL or ABORTED, which must not
// be retried; gRPC reports them as UNAVAILABLE.
const CONNECTION_LOST = new Set([
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "ERR_HTTP2_ERROR",
  "ERR_HTTP2_GOAWAY_SESSION",
  "ERR_HTTP2_INVALID_SESSION",
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_HTTP2_SESSION_ERROR",
  "ERR_HTTP2_SOCKET_UNBOUND",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_WRITE_AFTER_END",
]);

// By the table "Errors" of gRPC over HTTP/2. All others are INTERNAL.
const RESETS: Readonly<Record<string, Code>> = {
  NGHTTP2_REFUSED_STREAM: Code.Unavailable,
  NGHTTP2_CANCEL: Code.Canceled,
  NGHTTP2_ENHANCE_YOUR_CALM: Code.ResourceExhausted,
  NGHTTP2_INADEQUATE_SECURITY: Code.PermissionDenied,
};

/** Return what connect-node threw with the status code that gRPC gives it. */
export function transportError(thrown: unknown): ConnectError {
  const error = ConnectError.from(thrown, Code.Unknown);
  for (const { code, message } of chain(thrown)) {
    if (CONNECTION_LOST.has(code)) {
      return connectionLost(message, thrown);
    }
    if (code === "ERR_HTTP2_STREAM_ERROR") {
      const reset = /NGHTTP2_\w+/.exec(message)?.[0] ?? "";
      return new ConnectError(message, RESETS[reset] ?? Code.Internal, undefined, undefined, thrown);
    }
  }
  return error;
}

/** Return the error of a call whose connection was lost or could not be opened. */
export function connectionLost(message: string, cause?: unknown): ConnectError {
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}

/** Return the codes and messages of the errors of node in a chain of causes. */
function chain(thrown: unknown): { code: string; message: string }[] {
  const found: { code: string; message: string }[] = [];
  const seen = new Set<unknown>();
  for (let error = thrown; error instanceof Error && !seen.has(error); error = error.cause) {
    seen.add(error);
    if ("code" in error && typeof error.code === "string") {
      found.push({ code: error.code, message: error.message });
    }
  }
  return found;
}
