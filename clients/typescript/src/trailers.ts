import type { IncomingHttpHeaders } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

/** The trailer with the code of a call. */
export const GRPC_STATUS = "grpc-status";
const MESSAGE = "grpc-message";
const DETAILS = "grpc-status-details-bin";

/**
 * Remove from trailers what cannot be read, in place. connect would raise DATA_LOSS or UNKNOWN for it, and hide the code
 * of the call. Details whose code is another one than that of the call come from a proxy that has rewritten it.
 */
export function keepReadable(trailers: IncomingHttpHeaders): void {
  const details = trailers[DETAILS];
  if (details !== undefined && codeOf(details) !== Number(trailers[GRPC_STATUS])) {
    Reflect.deleteProperty(trailers, DETAILS);
  }
  const message = trailers[MESSAGE];
  if (typeof message === "string" && !isEncoded(message)) {
    trailers[MESSAGE] = encodeURIComponent(message);
  }
}

/** Return the code of a google.rpc.Status; undefined if it cannot be read. */
function codeOf(details: string | string[]): number | undefined {
  try {
    return fromBinary(StatusSchema, base64Decode(String(details))).code;
  } catch {
    return undefined;
  }
}

function isEncoded(message: string): boolean {
  try {
    decodeURIComponent(message);
    return true;
  } catch {
    return false;
  }
}
